"""The three questions of a report, answered in sentences from its measures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imagefec.analysis.orderings import N_NEIGHBOURS
from imagefec.analysis.report.estimates import (
    Estimate,
    mean_over_queries,
    n_of,
    number,
    percent,
    points,
)
from imagefec.analysis.report.measures import (
    ConditionMeasures,
    Contrast,
    Measures,
    PairMeasures,
)
from imagefec.analysis.report.page import literal

CHANCE = 1 / 3


@dataclass(frozen=True)
class Answer:
    """A question, a short verdict, and the numbers behind it in sentences."""

    question: str
    verdict: str
    text: str


def answer_all(measures: Measures, split: str) -> list[Answer]:
    """Answers the three questions.

    Args:
      measures: the numbers of the report.
      split: name of the split, for the caveat about checkpoints selected on it.
    """
    return [how_well(measures, split), how_different(measures), how_useful_was_uda(measures)]


def how_well(measures: Measures, split: str) -> Answer:
    """The best condition's TPA, compared with human accuracy and chance."""
    best = measures.best
    runs = f"Mean over {n_of(len(best.runs), 'seed')}" if len(best.runs) > 1 else "One run"
    n_conditions = len(measures.conditions)
    rank = f", the best of {n_conditions} conditions" if n_conditions > 1 else ""
    sentences = [
        f"{runs} of “{literal(best.name)}”{rank}, on {measures.n_triplets:,} triplets. "
        f"{_error_sources(best)}"
    ]
    if measures.human_tpa is None:
        sentences.append(
            f"The split has no votes to compute human accuracy from. Chance is {percent(CHANCE)}."
        )
    else:
        gap = measures.human_tpa - CHANCE
        closed = (best.tpa.value - CHANCE) / gap if gap > 0 else math.nan
        sentences.append(
            f"Leave-one-out {measures.rater_accuracy_name} (one rater against the majority of the "
            f"others) is {percent(measures.human_tpa)} on the same triplets, and chance is "
            f"{percent(CHANCE)}: the model closes {100 * closed:.0f} % of the gap between them."
        )
    return Answer(
        "How well did we do in triplet prediction accuracy (TPA)?",
        f"TPA {percent(best.total_tpa)}.",
        " ".join([*sentences, *_caveats(measures, split)]),
    )


def how_different(measures: Measures) -> Answer:
    """Whether models with clearly different TPA find different neighbours."""
    question = "Do models with clearly different TPA differ qualitatively?"
    if len(measures.conditions) < 2:
        return Answer(
            question,
            "Not evaluated.",
            "There is one condition; the comparison requires two with different TPA.",
        )
    gap = measures.contrasts[-1].difference
    best, worst = measures.best, measures.worst
    sentences = [
        f"The TPA of “{literal(best.name)}” and “{literal(worst.name)}” differs by "
        f"{points(Estimate(-gap.value, gap.error), sign=False)}."
    ]
    between = [pair for pair in measures.pairs if _joins(pair, best, worst)]
    # Runs of the same seed may have the same initial weights, and agree for that reason.
    between = [pair for pair in between if not pair.same_seed] or between
    within = [pair for pair in measures.pairs if _joins(pair, best, best)]
    if not between:
        sentences.append(
            "No neighbours can be compared: the embeddings of one condition are not finite, or the "
            "split has too few faces."
        )
        return Answer(question, "Cannot be determined.", " ".join(sentences))
    excess = _overlap_difference(within, between) if within else None
    sentences.append(_agreement_between(between, measures.n_faces))
    sentences.append(_agreement_within(best.name, within, excess))
    if not gap.clear:
        sentences.append(
            "The difference in TPA is below two standard errors, so the question remains open."
        )
    return Answer(question, _verdict_on_difference(gap, excess), " ".join(sentences))


def how_useful_was_uda(measures: Measures) -> Answer:
    """TPA and invariance with UDA, compared with the same settings without it."""
    question = "How useful was unsupervised data augmentation (UDA)?"
    if not measures.uda:
        return Answer(
            question,
            "Not evaluated.",
            "No two conditions differ only in the weight of UDA with one of them at weight 0.",
        )
    _, contrasts = max(
        measures.uda, key=lambda series: sum(len(condition.runs) for condition in series[0])
    )
    best = max(contrasts, key=lambda contrast: contrast.difference.value)
    if best.difference.clear and best.difference.value > 0:
        verdict = "It raised TPA."
    elif all(each.difference.clear and each.difference.value < 0 for each in contrasts):
        verdict = "It lowered TPA."
    else:
        verdict = "No clear gain in TPA."
    off = contrasts[0].second
    sentences = [
        *map(_effect_of_weight, contrasts),
        f"At weight 0, TPA is {percent(off.total_tpa)}.",
    ]
    if len(measures.uda) > 1:
        sentences.append(f"{n_of(len(measures.uda) - 1, 'more series')} in the tables below.")
    return Answer(question, verdict, " ".join(sentences))


def _error_sources(condition: ConditionMeasures) -> str:
    triplets = f"the sample of triplets (± {100 * condition.triplet_error:.1f}, clustered by photo)"
    if math.isnan(condition.tpa.error):
        return f"The standard error covers {triplets}, but not the seed."
    return f"The standard error combines seeds (± {100 * condition.tpa.error:.1f}) and {triplets}."


def _caveats(measures: Measures, split: str) -> list[str]:
    sentences = []
    if measures.n_triplets < 100:
        sentences.append("With fewer than 100 triplets, the TPA is imprecise.")
    runs = [run.run for condition in measures.conditions for run in condition.runs]
    if split in {str(run.info.get("eval_split") or "test") for run in runs}:
        sentences.append(
            f"The runs' best checkpoints were selected by TPA on this split ({literal(split)}), so "
            "the numbers are biased upwards."
        )
    return sentences


def _agreement_between(pairs: Sequence[PairMeasures], n_faces: int) -> str:
    chance = percent(N_NEIGHBOURS / max(1, n_faces - 1))
    return (
        f"Between a run of one and a run of the other, the neighbour overlap is "
        f"{percent(_overlap(pairs))} (share of the {N_NEIGHBOURS} nearest neighbours of a face "
        f"that both find; {chance} by chance), and the rank correlation of the distances is "
        f"{_correlation(pairs)} (Spearman)."
    )


def _agreement_within(name: str, pairs: Sequence[PairMeasures], excess: Estimate | None) -> str:
    name = literal(name)
    if excess is None:
        return f"“{name}” has one seed, so the agreement of two equally good models is unknown."
    return (
        f"Between two seeds of “{name}”, the overlap is {percent(_overlap(pairs))} and the "
        f"correlation is {_correlation(pairs)}. The overlap between seeds is "
        f"{points(Estimate(abs(excess.value), excess.error), sign=False)} "
        f"{'higher' if excess.value >= 0 else 'lower'}."
    )


def _verdict_on_difference(gap: Estimate, excess: Estimate | None) -> str:
    """The verdict of the second answer.

    Args:
      gap: difference in TPA.
      excess: neighbour overlap between seeds minus that between conditions; None for one seed.
    """
    if not gap.clear:
        return "The TPA of these models does not differ clearly."
    if excess is None:
        return "Cannot be determined."
    if excess.clear and excess.value > 0:
        return "Yes: they differ more than two seeds of one model."
    return "No: they do not differ more than two seeds of one model."


def _overlap(pairs: Sequence[PairMeasures]) -> Estimate:
    return mean_over_queries([pair.overlap for pair in pairs])


def _correlation(pairs: Sequence[PairMeasures]) -> str:
    return number(mean_over_queries([pair.rank_correlation for pair in pairs]))


def _overlap_difference(first: Sequence[PairMeasures], second: Sequence[PairMeasures]) -> Estimate:
    """Difference of the neighbour overlaps, paired by query."""
    means = (np.mean([pair.overlap for pair in pairs], axis=0) for pairs in (first, second))
    return mean_over_queries([np.subtract(*means)])


def _joins(pair: PairMeasures, first: ConditionMeasures, second: ConditionMeasures) -> bool:
    """Whether a pair has one run of each condition."""
    first_ids, second_ids = ({id(run) for run in side.runs} for side in (first, second))
    a, b = id(pair.first), id(pair.second)
    return (a in first_ids and b in second_ids) or (a in second_ids and b in first_ids)


def _effect_of_weight(contrast: Contrast) -> str:
    paired = f" (paired over {n_of(contrast.paired, 'seed')})" if contrast.paired else ""
    effect = (
        f"Weight {contrast.first.condition.uda_weight:g} changed TPA by "
        f"{points(contrast.difference)}{paired}"
    )
    if contrast.view_distance is None:
        return f"{effect}; the view distance could not be measured."
    return (
        f"{effect} and the view distance from {number(contrast.second.view_distance)} to "
        f"{number(contrast.first.view_distance)}."
    )
