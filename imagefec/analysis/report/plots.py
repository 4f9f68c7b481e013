"""The plots of a report as PNG files; they draw measures and make none."""

import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefec.analysis.orderings import K
from imagefec.analysis.report.answers import CHANCE
from imagefec.analysis.report.measures import ConditionMeasures, Measures, PairMeasures
from imagefec.fec import TripletType

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart by the colour-blind, too; black is for the raters. More conditions
# begin anew.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
DPI = 150
WIDTH = 7.2  # inches: a page of text

_INK, _FAINT, _GRID = "#222222", "#6b6e76", "#e8e9ec"
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.7,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "text.color": _INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}
_NAMES = {kind.key: kind.display_name for kind in TripletType}
_LONGEST_NAME = 36
_MANY_PAIRS = 150


def _styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Draws in the report's style, whatever the process has set."""

    @functools.wraps(draw)
    def in_style(*arguments: Any) -> Any:
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return draw(*arguments)

    return in_style


@_styled
def plot_curves(measures: Measures) -> bytes | None:
    """TPA against training step: a thin line a run, a thick one a condition; None where no run kept its history."""
    curves = [
        (one, [dict(run.run.measures("tpa")) for run in one.runs]) for one in measures.conditions
    ]
    if not any(any(runs) for _, runs in curves):
        return None
    fig, axes = _figure(3.1)
    ends = []
    for place, (condition, runs) in enumerate(curves):
        runs = [run for run in runs if run]
        if not runs:
            continue
        for run in runs if len(runs) > 1 else ():
            axes.plot(
                list(run),
                [100 * value for value in run.values()],
                color=_colour(place),
                lw=0.7,
                alpha=0.35,
            )
        shared = sorted(set.intersection(*map(set, runs)))
        means = [100 * float(np.mean([run[step] for run in runs])) for step in shared]
        axes.plot(shared, means, color=_colour(place), lw=1.8)
        ends.append((shared[-1], means[-1], condition.name, _colour(place)))
    last = max(end[0] for end in ends)
    axes.set_xlim(0, last)
    _levels(axes, measures.ceiling)
    _label_ends(axes, ends, last)
    axes.set_xlabel("training step")
    axes.set_ylabel("TPA (%)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return _png(fig)


@_styled
def plot_types(measures: Measures) -> bytes:
    """TPA of each condition, over all triplets and by type, with its error, the raters' ceiling and chance."""
    types = [
        name
        for name in measures.ceiling_by_type
        if any(one.by_type[name] is not None for one in measures.conditions)
    ]
    panels = [("all triplets", measures.ceiling, [one.tpa for one in measures.conditions])]
    panels += [
        (
            _NAMES.get(name, name),
            measures.ceiling_by_type[name],
            [one.by_type[name] for one in measures.conditions],
        )
        for name in types
    ]
    rows = np.arange(len(measures.conditions))
    fig, axes = _figure(1.05 + 0.26 * len(rows), columns=len(panels), sharex=True, sharey=True)
    for panel, (title, ceiling, estimates) in zip(np.ravel(axes), panels):
        for row, estimate in zip(rows, estimates):
            if estimate is not None:
                panel.errorbar(
                    100 * estimate.value,
                    row,
                    xerr=_or_zero(100 * estimate.error),
                    fmt="o",
                    ms=4.5,
                    lw=1.2,
                    color=_colour(row),
                )
        panel.axvline(100 * CHANCE, color=_FAINT, lw=0.8, ls=":")
        if ceiling is not None:
            panel.axvline(100 * ceiling, color=_INK, lw=1)
        panel.set_title(title, loc="left", pad=12)
        panel.set_xlabel("TPA (%)")
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
        panel.grid(axis="y", color=_GRID, lw=0.7)
    first = np.ravel(axes)[0]
    first.set_yticks(rows, [_cut(one.name) for one in measures.conditions])
    first.set_ylim(len(rows) - 0.5, -0.5)
    for where, text, ink in ((CHANCE, "chance", _FAINT), (measures.ceiling, "raters", _INK)):
        if where is not None:
            first.annotate(
                text,
                (100 * where, 1),
                (0, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                color=ink,
            )
    return _png(fig)


@_styled
def plot_uda(series: Sequence[ConditionMeasures]) -> bytes:
    """TPA and invariance of one UDA series against the weight: a dot a seed, and the mean with its error."""
    fig, (left, right) = _figure(2.6, columns=2)
    places = np.arange(len(series))
    for axes, of_run, of_condition, label in (
        (left, lambda run: 100 * run.scores["tpa"], lambda one: _hundred(one.tpa), "TPA (%)"),
        (
            right,
            lambda run: run.invariance["relative_view_distance"],
            lambda one: one.invariance,
            "view distance ÷ face distance",
        ),
    ):
        for place, one in zip(places, series):
            values = [of_run(run) for run in one.runs]
            if None not in values:
                axes.plot(
                    [place] * len(values), values, "o", ms=3.5, color=PALETTE[0], alpha=0.35, mew=0
                )
        means = [of_condition(one) for one in series]
        known = [(place, mean) for place, mean in zip(places, means) if mean is not None]
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
        axes.set_xticks(places, [f"{one.condition.uda_weight:g}" for one in series])
        axes.set_xlim(-0.4, len(series) - 0.6)
        axes.set_xlabel("weight of UDA")
        axes.set_title(label, loc="left")
        axes.grid(axis="y", color=_GRID, lw=0.7)
        axes.margins(y=0.15)
    right.set_ylim(0, right.get_ylim()[1] * 1.05)
    return _png(fig)


@_styled
def plot_pairs(measures: Measures) -> bytes | None:
    """How much pairs of runs agree on neighbours and on order, against how much their TPA differs."""
    if not measures.pairs:
        return None
    fig, (left, right) = _figure(2.7, columns=2, sharex=True)
    there = [kind for kind in _KINDS if any(_kind(pair) == kind[0] for pair in measures.pairs)]
    for axes, value, title in (
        (left, lambda pair: 100 * pair.overlap.mean(), f"shared among {K} neighbours (%)"),
        (right, lambda pair: pair.rank_correlation.mean(), "rank correlation of distances"),
    ):
        for kind, mark, colour, _ in there:
            pairs = [pair for pair in measures.pairs if _kind(pair) == kind]
            axes.plot(
                [100 * pair.tpa_difference for pair in pairs],
                [value(pair) for pair in pairs],
                mark,
                color=colour,
                ms=4.5 if len(measures.pairs) < _MANY_PAIRS else 3,
                alpha=0.75,
                mew=0,
            )
        axes.set_title(title, loc="left")
        axes.set_xlabel("difference of TPA (points)")
        axes.grid(axis="y", color=_GRID, lw=0.7)
        axes.set_xlim(left=-0.03 * max(1e-3, axes.get_xlim()[1]))
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]), top=axes.get_ylim()[1] * 1.08)
    _key(fig, there)
    return _png(fig, bottom=0.09)


_KINDS = (
    ("seed", "^", PALETTE[4], "two conditions, one seed (equal initial weights)"),
    ("apart", "D", PALETTE[1], "two conditions, two seeds"),
    ("condition", "o", PALETTE[0], "one condition, two seeds"),
)


def _kind(pair: PairMeasures) -> str:
    return "condition" if pair.same_condition else "seed" if pair.same_seed else "apart"


def _key(fig: "Figure", kinds: Sequence[tuple[str, str, str, str]]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], marker=mark, ls="", color=colour, ms=5, mew=0, label=label)
        for _, mark, colour, label in reversed(kinds)
    ]
    fig.legend(
        handles=marks,
        loc="lower left",
        ncols=3,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=1.5,
        bbox_to_anchor=(0.05, 0),
    )


def _figure(height: float, columns: int = 1, **shared: Any) -> tuple["Figure", Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(WIDTH, height), dpi=DPI)
    FigureCanvasAgg(fig)
    return fig, fig.subplots(1, columns, **shared)


def _png(fig: "Figure", bottom: float = 0.0) -> bytes:
    """A PNG of few colours: a third of the bytes, and no eye sees it."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    fig.tight_layout(rect=(0, bottom, 1, 1), w_pad=1.5)
    fig.savefig(raw, format="png", metadata={"Software": None})
    Image.open(raw).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


def _levels(axes: "Axes", ceiling: float | None) -> None:
    """Chance and the raters' ceiling as lines with their names."""
    for level, text, ink, style, beside in (
        (CHANCE, "chance", _FAINT, ":", (-2, -9)),
        (ceiling, "raters' ceiling", _INK, "-", (-2, 3)),
    ):
        if level is not None:
            axes.axhline(100 * level, color=ink, lw=0.9, ls=style)
            axes.annotate(
                text,
                (1, 100 * level),
                beside,
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=7.5,
                color=ink,
            )
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 100 * CHANCE - 5), max(high, 100 * (ceiling or 0) + 5))


def _label_ends(axes: "Axes", ends: list[tuple[int, float, str, str]], last: int) -> None:
    """Names at the ends of curves, moved apart where they would touch; shorter curves are named at the margin, too."""
    low, high = axes.get_ylim()
    gap = (high - low) * 0.065
    ends = sorted(ends, key=lambda end: end[1])
    heights: list[float] = []
    for _, value, _, _ in ends:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    over = max(0.0, heights[-1] - (high - gap / 2))
    for place in reversed(range(len(heights))):  # what stuck out at the top is pushed back down
        ceiling = high - gap / 2 - (len(heights) - 1 - place) * gap
        heights[place] = min(heights[place], ceiling) if over else heights[place]
    for (step, value, name, colour), height in zip(ends, heights):
        if step < last:
            axes.plot([step], [value], "o", ms=3.5, color=colour)
        axes.annotate(
            _cut(name),
            (1, height),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
            annotation_clip=False,
        )


def _colour(place: int) -> str:
    return PALETTE[place % len(PALETTE)]


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1].rstrip(' ,')}…"


def _or_zero(error: float) -> float:
    return 0.0 if math.isnan(error) else error


def _hundred(estimate: Any) -> Any:
    return type(estimate)(100 * estimate.value, 100 * estimate.error)
