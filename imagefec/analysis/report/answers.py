"""The three questions of a report, answered in sentences from its measures; no numbers are made here."""

import math
from dataclasses import dataclass

import numpy as np

from imagefec.analysis.orderings import K
from imagefec.analysis.report.measures import (
    ConditionMeasures,
    Estimate,
    Measures,
    PairMeasures,
    over_queries,
)

CHANCE = 1 / 3


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a word or two, and the numbers that bear it out, as sentences."""

    question: str
    verdict: str
    text: str


def answer_all(measures: Measures, split: str) -> list[Answer]:
    """The three answers, in the order asked.

    Args:
      measures: of the runs.
      split: its name, for the caveats of choosing on it.
    """
    return [how_well(measures, split), how_different(measures), how_useful_was_uda(measures)]


def how_well(measures: Measures, split: str) -> Answer:
    """The best condition's TPA against the raters' ceiling and chance."""
    best = measures.best
    where = (
        f"the {n_of(len(best.runs), 'seed')} of “{best.name}”"
        if len(best.runs) > 1
        else f"The one run of “{best.name}”"
    )
    among = (
        f", the best of {len(measures.conditions)} conditions"
        if len(measures.conditions) > 1
        else ""
    )
    sentences = [
        f"{'Mean over ' if len(best.runs) > 1 else ''}{where}{among}, on {measures.n_triplets:,} triplets; "
        f"the error takes in {_parts(best)}."
    ]
    if measures.ceiling is None:
        sentences.append(
            f"The split has no votes to tell a ceiling from. Chance is {percent(CHANCE)}."
        )
    else:
        way = (
            (best.tpa.value - CHANCE) / (measures.ceiling - CHANCE)
            if measures.ceiling > CHANCE
            else math.nan
        )
        sentences.append(
            f"A rater agrees with the other raters on {percent(measures.ceiling)} of the same triplets, chance is "
            f"{percent(CHANCE)}: the model is {100 * way:.0f} % of the way from chance to the raters."
        )
    sentences += _caveats(measures, split)
    return Answer(
        "How well did we do in triplet prediction accuracy (TPA)?",
        f"TPA {percent(Estimate(best.tpa.value, best.whole_error))}.",
        " ".join(sentences),
    )


def how_different(measures: Measures) -> Answer:
    """Whether models of clearly different TPA find different neighbours."""
    question = "Do models of clearly different TPA differ in their qualitative results?"
    if len(measures.conditions) < 2:
        return Answer(
            question,
            "Not asked.",
            "One condition was given; it takes two of different TPA to answer this.",
        )
    gap = measures.contrasts[-1].difference
    best, worst = measures.best, measures.worst
    tpas = f"“{best.name}” and “{worst.name}” differ by {points(Estimate(-gap.value, gap.error), sign=False)} of TPA."
    apart = [pair for pair in measures.pairs if _joins(pair, best, worst)]
    # Of one seed they may have begun from the same weights, and be alike for that.
    apart = [pair for pair in apart if not pair.same_seed] or apart
    alike = [pair for pair in measures.pairs if _joins(pair, best, best)]
    if not apart:
        return Answer(
            question,
            "Cannot be told.",
            f"{tpas} The embeddings of one are not finite, or the split has too few "
            "faces, so there are no neighbours to compare.",
        )
    chance = Estimate(K / max(1, measures.n_faces - 1), math.nan)
    text = [
        tpas,
        f"A run of the one and a run of the other share {percent(_overlap(apart))} of the {K} nearest neighbours of a "
        f"face ({percent(chance)} by chance), and the order in which they put all faces correlates by {_order(apart)} "
        "(Spearman).",
    ]
    if not alike:
        text.append(
            f"“{best.name}” has no two seeds, so how much two equally good models share is not known."
        )
        return Answer(
            question,
            "Cannot be told." if gap.clear else "These models do not differ clearly.",
            " ".join(text),
        )
    text.append(
        f"Two seeds of “{best.name}” share {percent(_overlap(alike))} and correlate by {_order(alike)}."
    )
    # Over the same queries, so the error of the difference is that of paired numbers.
    lost = over_queries(
        [
            np.mean([pair.overlap for pair in alike], axis=0)
            - np.mean([pair.overlap for pair in apart], axis=0)
        ]
    )
    text.append(
        f"That is {points(Estimate(abs(lost.value), lost.error), sign=False)} {'more' if lost.value >= 0 else 'less'}."
    )
    if not gap.clear:
        text.append(
            "Their TPA differs by less than two standard errors, so the question is left open."
        )
        return Answer(question, "These models do not differ clearly.", " ".join(text))
    return Answer(
        question,
        "Yes, by more than two seeds of one model do."
        if lost.clear and lost.value > 0
        else "Not by more than two seeds of one model do.",
        " ".join(text),
    )


def _overlap(pairs: list[PairMeasures]) -> Estimate:
    return over_queries([pair.overlap for pair in pairs])


def _order(pairs: list[PairMeasures]) -> str:
    return number(over_queries([pair.rank_correlation for pair in pairs]))


def how_useful_was_uda(measures: Measures) -> Answer:
    """TPA and invariance with UDA against the same without."""
    question = "How useful was unsupervised data augmentation (UDA)?"
    if not measures.uda:
        return Answer(
            question,
            "Not asked.",
            "No two of the conditions given differ in the weight of UDA alone, one of them "
            "without it (weight 0).",
        )
    _, contrasts = max(measures.uda, key=lambda series: sum(len(one.runs) for one in series[0]))
    best = max(contrasts, key=lambda one: one.difference.value)
    if best.difference.clear and best.difference.value > 0:
        verdict = "It raised TPA."
    elif all(one.difference.clear and one.difference.value < 0 for one in contrasts):
        verdict = "It lowered TPA."
    else:
        verdict = "No clear gain in TPA."
    text = [
        _of_weight(one.first, one.difference, one.paired)
        + _of_invariance(one.first, one.second, one.invariance)
        for one in contrasts
    ]
    more = (
        f" {n_of(len(measures.uda) - 1, 'more series')} in the table below."
        if len(measures.uda) > 1
        else ""
    )
    off = contrasts[0].second
    text.append(f"Weight 0 has TPA {percent(Estimate(off.tpa.value, off.whole_error))}.{more}")
    return Answer(question, verdict, " ".join(text))


def percent(value: float | Estimate | None) -> str:
    """45.2 ± 0.8 %"""
    if value is None:
        return "none"
    if not isinstance(value, Estimate):
        return f"{100 * value:.1f} %"
    return f"{100 * value.value:.1f}{'' if math.isnan(value.error) else f' ± {100 * value.error:.1f}'} %"


def points(value: Estimate, sign: bool = True) -> str:
    """+1.2 ± 0.4 points, of a hundred"""
    number_ = f"{100 * value.value:+.1f}" if sign else f"{100 * value.value:.1f}"
    return f"{number_}{'' if math.isnan(value.error) else f' ± {100 * value.error:.1f}'} points".replace(
        "-", "−"
    )


def number(value: Estimate | None) -> str:
    """0.41 ± 0.02"""
    if value is None:
        return "none"
    return f"{value.value:.2f}{'' if math.isnan(value.error) else f' ± {value.error:.2f}'}".replace(
        "-", "−"
    )


def n_of(n: int, what: str) -> str:
    """1 seed, 3 seeds"""
    return f"{n} {what}{'' if n == 1 or what.endswith('s') else 's'}"


def _parts(one: ConditionMeasures) -> str:
    triplets = (
        f"which triplets were judged (± {100 * one.triplet_error:.1f}, clustered by photograph)"
    )
    if math.isnan(one.tpa.error):
        return f"{triplets}, and not the seed, of which there is one"
    return f"the seeds (± {100 * one.tpa.error:.1f}) and {triplets}"


def _caveats(measures: Measures, split: str) -> list[str]:
    said = []
    if measures.n_triplets < 100:
        said.append("Fewer than 100 triplets say little: mind the error.")
    own = [one.run for condition in measures.conditions for one in condition.runs]
    chosen_on = {str(run.info.get("eval_split") or "test") for run in own}
    if split in chosen_on:
        said.append(
            f"The runs' best checkpoints were chosen by their TPA on this same split, {split}, so the numbers are "
            "somewhat too high."
        )
    return said


def _joins(pair: PairMeasures, first: ConditionMeasures, second: ConditionMeasures) -> bool:
    sides = [{id(one) for one in its.runs} for its in (first, second)]
    ends = id(pair.first), id(pair.second)
    return (ends[0] in sides[0] and ends[1] in sides[1]) or (
        ends[0] in sides[1] and ends[1] in sides[0]
    )


def _of_weight(one: ConditionMeasures, difference: Estimate, paired: int) -> str:
    how = f", {paired} seeds paired" if paired else ""
    return f"Weight {one.condition.uda_weight:g} changed TPA by {points(difference)}{how}"


def _of_invariance(
    one: ConditionMeasures, off: ConditionMeasures, difference: Estimate | None
) -> str:
    if difference is None:
        return "; its invariance could not be measured."
    return (
        f", and the distance of two views of a face, as a share of that between faces, from {number(off.invariance)} to "
        f"{number(one.invariance)}."
    )
