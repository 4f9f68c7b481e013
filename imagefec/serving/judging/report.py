"""How the raters judged: each with himself, on catch trials, in time, and with the others; pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any

from imagefec.serving.judging.journal import Answer
from imagefec.serving.judging.schedule import CATCH, JUDGEMENT, REPEAT
from imagefec.serving.judging.triplets import Triplet

CHANCE = 1 / 3
FAST_MS = 600  # looking at three faces takes longer
_UNLIKELY = 0.02  # probability below which a careful rater does not look like this
_CAREFUL_CATCHES, _CAREFUL_REPEATS, _CAREFUL_OTHERS = 0.9, 0.6, 0.5
_FEWEST = 10  # answers, before a rater is judged by his times


def report_of(standing: Mapping[str, Sequence[Answer]]) -> dict[str, Any]:
    """Figures of the raters and of their agreement.

    Args:
      standing: answers by rater, those undone left out.

    Returns:
      JSON values. "raters": name -> as of `rater_figures`. "pairs": [{"raters", "shared", "same"}]
      of those who judged the same triplets. "human_accuracy": how often a judgement is that of the
      majority of the others, {"right", "counted", "share"}; see
      `metrics.leave_one_out_human_accuracy`.
    """
    judged = {name: judgements(answers) for name, answers in standing.items()}
    figures = {name: rater_figures(answers) for name, answers in standing.items() if answers}
    for name, found in figures.items():
        found["with_others"] = leave_one_out(name, judged)
        found["suspicious"] = suspicions(found)
    return {
        "raters": figures,
        "pairs": _pairs(judged),
        "human_accuracy": _share(
            sum(found["with_others"]["right"] for found in figures.values()),
            sum(found["with_others"]["counted"] for found in figures.values()),
            "right",
            "counted",
        ),
    }


def judgements(answers: Sequence[Answer]) -> dict[Triplet, str]:
    """The face that a rater chose of each triplet; repeats and catch trials do not count."""
    return {a.trial.triplet: a.chosen for a in answers if a.trial.kind == JUDGEMENT}


def rater_figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Figures of one rater.

    Args:
      answers: in order, at least one.

    Returns:
      answers, judgements: numbers. repeats: {"same", "shown", "share"}, how often the same face was
      chosen again. catches: {"right", "shown", "share"}. median_ms: of the reaction times, without
      those while the page was hidden; None if there are none. places: share of the answers for the
      left, middle and right face. place_bias: the largest of them; 1/3 has no bias.
    """
    first = {answer.trial.number: answer for answer in answers}
    repeats = [answer for answer in answers if answer.trial.kind == REPEAT]
    catches = [answer for answer in answers if answer.trial.kind == CATCH]
    same = [
        answer.chosen == first[answer.trial.repeats].chosen
        for answer in repeats
        if answer.trial.repeats in first
    ]
    right = [answer.trial.faces.count(answer.chosen) == 1 for answer in catches]
    times = [answer.ms for answer in answers if not answer.away]
    counts = Counter(answer.choice for answer in answers)
    places = [counts[place] / len(answers) for place in range(3)]
    return {
        "answers": len(answers),
        "judgements": sum(answer.trial.kind == JUDGEMENT for answer in answers),
        "repeats": _share(sum(same), len(same), "same", "shown"),
        "catches": _share(sum(right), len(right), "right", "shown"),
        "median_ms": round(median(times), 1) if times else None,
        "places": [round(share, 4) for share in places],
        "place_bias": round(max(places), 4),
    }


def leave_one_out(rater: str, judged: Mapping[str, Mapping[Triplet, str]]) -> dict[str, Any]:
    """How often a rater chooses what the unique majority of the others chose.

    Args:
      rater: name.
      judged: face chosen of each triplet, by rater.
    """
    right = counted = 0
    for triplet, chosen in judged[rater].items():
        others = Counter(
            choices[triplet]
            for name, choices in judged.items()
            if name != rater and triplet in choices
        ).most_common(2)
        if others and (len(others) == 1 or others[0][1] > others[1][1]):
            counted += 1
            right += chosen == others[0][0]
    return _share(right, counted, "right", "counted")


def suspicions(found: Mapping[str, Any]) -> list[str]:
    """Why a rater may have been careless; a careful one has each reason with a chance of 2 %.

    Args:
      found: as of `rater_figures`, with `with_others`.
    """
    reasons = []
    repeats, catches, others = found["repeats"], found["catches"], found["with_others"]
    if _at_most(catches["right"], catches["shown"], _CAREFUL_CATCHES) < _UNLIKELY:
        reasons.append(f"catch trials: {catches['right']} of {catches['shown']} right")
    if _at_most(repeats["same"], repeats["shown"], _CAREFUL_REPEATS) < _UNLIKELY:
        reasons.append(f"repeats: {repeats['same']} of {repeats['shown']} the same")
    if _at_most(others["right"], others["counted"], _CAREFUL_OTHERS) < _UNLIKELY:
        reasons.append(f"agrees with the others in {others['right']} of {others['counted']}")
    n = found["answers"]
    most = round(found["place_bias"] * n)
    if 3 * (1 - _at_most(most - 1, n, CHANCE)) < _UNLIKELY:  # three places could be the one
        reasons.append(f"one place {found['place_bias']:.0%} of the time")
    if n >= _FEWEST and found["median_ms"] is not None and found["median_ms"] < FAST_MS:
        reasons.append(f"median time {found['median_ms']:.0f} ms")
    return reasons


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """The figures as text, a line a rater."""
    lines = []
    for name, found in report["raters"].items():
        time = "-" if found["median_ms"] is None else f"{found['median_ms'] / 1000:.1f} s"
        parts = [
            f"{found['answers']} answers",
            f"repeats {_of(found['repeats'], 'same', 'shown')}",
            f"catches {_of(found['catches'], 'right', 'shown')}",
            f"median {time}",
            f"place bias {found['place_bias']:.2f}",
            f"like the others {_of(found['with_others'], 'right', 'counted')}",
        ]
        lines.append(f"{name}: {', '.join(parts)}")
        if found["suspicious"]:
            lines.append(f"{name}: LOOK AT THIS RATER: {'; '.join(found['suspicious'])}")
    for pair in report["pairs"]:
        first, second = pair["raters"]
        lines.append(f"{first} and {second}: same face in {_of(pair, 'same', 'shared')}")
    return lines


def _pairs(judged: Mapping[str, Mapping[Triplet, str]]) -> list[dict[str, Any]]:
    pairs = []
    for first, second in combinations(sorted(judged), 2):
        shared = judged[first].keys() & judged[second].keys()
        if shared:
            same = sum(judged[first][triplet] == judged[second][triplet] for triplet in shared)
            figures = _share(same, len(shared), "same", "shared")
            pairs.append({"raters": [first, second], **figures})
    return pairs


def _share(part: int, n: int, part_name: str, n_name: str) -> dict[str, Any]:
    return {part_name: part, n_name: n, "share": round(part / n, 4) if n else None}


def _of(found: Mapping[str, Any], part: str, n: str) -> str:
    return f"{found[part]} of {found[n]}"


def _at_most(part: int, n: int, chance: float) -> float:
    """Probability that at most `part` of n independent trials of this chance succeed."""
    total = 0.0
    for k in range(min(part, n) + 1):
        log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(log_ways + k * math.log(chance) + (n - k) * math.log(1 - chance))
    return total
