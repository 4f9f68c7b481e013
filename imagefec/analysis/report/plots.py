"""The plots of a report as PNG files, from its measures; their look is in plot_style.py."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.analysis.orderings import N_NEIGHBOURS
from imagefec.analysis.report.answers import CHANCE
from imagefec.analysis.report.estimates import Estimate
from imagefec.analysis.report.measures import (
    ConditionMeasures,
    Measures,
    PairMeasures,
    RunMeasures,
)
from imagefec.analysis.report.plot_style import (
    FAINT,
    GRID,
    INK,
    PALETTE,
    color_of,
    figure_png,
    label_ends,
    label_level,
    make_figure,
    shortened,
    styled,
)
from imagefec.fec import TripletType

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TYPES = {kind.key: kind.display_name for kind in TripletType}
_MANY_PAIRS = 150


@styled
def plot_curves(measures: Measures) -> bytes | None:
    """TPA against training step: a thin line per run, a thick one per condition.

    None if no run has a history.
    """
    histories = [
        [history for run in condition.runs if (history := dict(run.run.measures("tpa")))]
        for condition in measures.conditions
    ]
    if not any(histories):
        return None
    fig, axes = make_figure(3.1)
    ends = []
    for place, (condition, runs) in enumerate(zip(measures.conditions, histories)):
        if not runs:
            continue
        color = color_of(place)
        for run in runs if len(runs) > 1 else ():
            axes.plot(list(run), _percent(run.values()), color=color, lw=0.7, alpha=0.35)
        shared = sorted(set.intersection(*map(set, runs)))
        means = _percent(float(np.mean([run[step] for run in runs])) for step in shared)
        axes.plot(shared, means, color=color, lw=1.8)
        ends.append((shared[-1], means[-1], condition.name, color))
    last_step = max(end[0] for end in ends)
    axes.set_xlim(0, last_step)
    _label_levels(axes, measures)
    label_ends(axes, ends, last_step)
    axes.set_xlabel("training step")
    axes.set_ylabel("TPA (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure_png(fig)


@styled
def plot_types(measures: Measures) -> bytes:
    """TPA of each condition, overall and by type, with its error, human accuracy and chance."""
    conditions = measures.conditions
    panels: list[tuple[str, float | None, list[Estimate | None]]] = [
        ("all triplets", measures.human_tpa, [condition.tpa for condition in conditions])
    ]
    for name, human_tpa in measures.human_tpa_by_type.items():
        estimates = [condition.by_type[name] for condition in conditions]
        if any(estimate is not None for estimate in estimates):
            panels.append((_TYPES.get(name, name), human_tpa, estimates))
    fig, axes = make_figure(
        1.05 + 0.26 * len(conditions), columns=len(panels), sharex=True, sharey=True
    )
    for panel, (title, human_tpa, estimates) in zip(np.ravel(axes), panels):
        _plot_type(panel, title, human_tpa, estimates)
    first = np.ravel(axes)[0]
    first.set_yticks(range(len(conditions)), [shortened(each.name) for each in conditions])
    first.set_ylim(len(conditions) - 0.5, -0.5)
    raters = "human" if measures.rater_accuracy_name == "human accuracy" else "raters"
    for level, text, color in ((CHANCE, "chance", FAINT), (measures.human_tpa, raters, INK)):
        if level is not None:
            first.annotate(
                text,
                (100 * level, 1),
                (0, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                color=color,
            )
    return figure_png(fig)


@styled
def plot_uda(series: Sequence[ConditionMeasures]) -> bytes:
    """TPA and view distance of a UDA series against the weight: seeds, and means with errors."""
    fig, (left, right) = make_figure(2.6, columns=2)
    _plot_against_weight(
        left,
        "TPA (%)",
        series,
        lambda run: 100 * run.tpa,
        lambda condition: Estimate(100 * condition.tpa.value, 100 * condition.tpa.error),
    )
    _plot_against_weight(
        right,
        "relative view distance",
        series,
        lambda run: run.view_distance,
        lambda condition: condition.view_distance,
    )
    right.set_ylim(0, right.get_ylim()[1] * 1.05)
    return figure_png(fig)


@styled
def plot_pairs(measures: Measures) -> bytes | None:
    """Neighbour overlap and rank correlation of pairs of runs against their difference in TPA."""
    if not measures.pairs:
        return None
    fig, (left, right) = make_figure(2.7, columns=2, sharex=True)
    kinds = [kind for kind in _KINDS if any(_kind(pair) == kind[0] for pair in measures.pairs)]
    size = 4.5 if len(measures.pairs) < _MANY_PAIRS else 3
    values: tuple[tuple[Any, str, Callable[[PairMeasures], float]], ...] = (
        (
            left,
            f"neighbour overlap, k = {N_NEIGHBOURS} (%)",
            lambda pair: 100 * pair.overlap.mean(),
        ),
        (right, "rank correlation of distances", lambda pair: pair.rank_correlation.mean()),
    )
    for axes, title, value_of in values:
        for kind, marker, color, _ in kinds:
            pairs = [pair for pair in measures.pairs if _kind(pair) == kind]
            x, y = [100 * pair.tpa_difference for pair in pairs], list(map(value_of, pairs))
            axes.plot(x, y, marker, color=color, ms=size, alpha=0.75, mew=0)
        axes.set_title(title, loc="left")
        axes.set_xlabel("difference in TPA (points)")
        axes.grid(axis="y", color=GRID, lw=0.7)
        axes.set_xlim(left=-0.03 * max(1e-3, axes.get_xlim()[1]))
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]), top=axes.get_ylim()[1] * 1.08)
    _add_legend(fig, kinds)
    return figure_png(fig, bottom=0.09)


_KINDS = (  # kind, marker, colour, label
    ("same seed", "^", PALETTE[4], "two conditions, same seed (same initial weights)"),
    ("two seeds", "D", PALETTE[1], "two conditions, two seeds"),
    ("same condition", "o", PALETTE[0], "one condition, two seeds"),
)


def _kind(pair: PairMeasures) -> str:
    if pair.same_condition:
        return "same condition"
    return "same seed" if pair.same_seed else "two seeds"


def _plot_type(
    panel: "Axes", title: str, human_tpa: float | None, estimates: Sequence[Estimate | None]
) -> None:
    for row, estimate in enumerate(estimates):
        if estimate is not None:
            panel.errorbar(
                100 * estimate.value,
                row,
                xerr=_or_zero(100 * estimate.error),
                fmt="o",
                ms=4.5,
                lw=1.2,
                color=color_of(row),
            )
    panel.axvline(100 * CHANCE, color=FAINT, lw=0.8, ls=":")
    if human_tpa is not None:
        panel.axvline(100 * human_tpa, color=INK, lw=1)
    panel.set_title(title, loc="left", pad=12)
    panel.set_xlabel("TPA (%)")
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.grid(axis="y", color=GRID, lw=0.7)


def _plot_against_weight(
    axes: "Axes",
    title: str,
    series: Sequence[ConditionMeasures],
    of_run: Callable[[RunMeasures], float | None],
    of_condition: Callable[[ConditionMeasures], Estimate | None],
) -> None:
    for place, condition in enumerate(series):
        values = [value for run in condition.runs if (value := of_run(run)) is not None]
        if len(values) == len(condition.runs):
            x = [place] * len(values)
            axes.plot(x, values, "o", ms=3.5, color=PALETTE[0], alpha=0.35, mew=0)
    known = [
        (place, mean)
        for place, condition in enumerate(series)
        if (mean := of_condition(condition)) is not None
    ]
    axes.errorbar(
        [place + 0.06 for place, _ in known],
        [mean.value for _, mean in known],
        yerr=[_or_zero(mean.error) for _, mean in known],
        fmt="o-",
        ms=5,
        lw=1.2,
        color=PALETTE[0],
        capsize=0,
    )
    axes.set_xticks(
        range(len(series)), [f"{condition.condition.uda_weight:g}" for condition in series]
    )
    axes.set_xlim(-0.4, len(series) - 0.6)
    axes.set_xlabel("weight of UDA")
    axes.set_title(title, loc="left")
    axes.grid(axis="y", color=GRID, lw=0.7)
    axes.margins(y=0.15)


def _add_legend(fig: "Figure", kinds: Sequence[tuple[str, str, str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker=marker, ls="", color=color, ms=5, mew=0, label=label)
        for _, marker, color, label in reversed(kinds)
    ]
    fig.legend(
        handles=handles,
        loc="lower left",
        ncols=3,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=1.5,
        bbox_to_anchor=(0.05, 0),
    )


def _label_levels(axes: "Axes", measures: Measures) -> None:
    """Chance and the raters' accuracy as labelled lines within the y limits."""
    human_tpa = measures.human_tpa
    label_level(axes, 100 * CHANCE, "chance", FAINT, ":", above=False)
    if human_tpa is not None:
        label_level(axes, 100 * human_tpa, measures.rater_accuracy_name, INK, "-", above=True)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 100 * CHANCE - 5), max(high, 100 * (human_tpa or 0) + 5))


def _percent(fractions: Iterable[float]) -> list[float]:
    return [100 * fraction for fraction in fractions]


def _or_zero(error: float) -> float:
    return 0.0 if math.isnan(error) else error
