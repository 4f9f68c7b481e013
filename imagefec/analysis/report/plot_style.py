"""The look of a report's plots: style, figures, PNG encoding, and labels of curves and levels."""

import functools
import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, which colour-blind readers can distinguish; black is for human accuracy.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
INK, FAINT, GRID = "#222222", "#6b6e76", "#e8e9ec"
DPI = 150
WIDTH = 7.2  # inches, that of a page's text
_MAX_NAME_LENGTH = 36
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,  # a name may have dollar signs
}
P = ParamSpec("P")
T = TypeVar("T")


def styled(plot: Callable[P, T]) -> Callable[P, T]:
    """Plots in the report's style, whatever style the process has set."""

    @functools.wraps(plot)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib as mpl

        with mpl.rc_context(_STYLE), warnings.catch_warnings():
            # A name may have letters that the font lacks; they are drawn as boxes.
            warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
            return plot(*args, **kwargs)

    return in_style


def make_figure(height: float, columns: int = 1, **shared: Any) -> tuple["Figure", Any]:
    """A figure of a page's width with a row of axes; height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(WIDTH, height), dpi=DPI)
    FigureCanvasAgg(fig)
    return fig, fig.subplots(1, columns, **shared)


def figure_png(fig: "Figure", bottom: float = 0.0) -> bytes:
    """The figure as a PNG of 128 colours: a third of the size without visible difference.

    Args:
      fig: the figure.
      bottom: share of its height to leave free below the axes.
    """
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    fig.tight_layout(rect=(0, bottom, 1, 1), w_pad=1.5)
    fig.savefig(full, format="png", metadata={"Software": None})
    Image.open(full).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


def color_of(place: int) -> str:
    """The colour of a condition by its place; colours repeat after the palette's end."""
    return PALETTE[place % len(PALETTE)]


def shortened(name: str) -> str:
    """A condition's name, shortened with an ellipsis if too long for a plot."""
    if len(name) <= _MAX_NAME_LENGTH:
        return name
    return f"{name[: _MAX_NAME_LENGTH - 1].rstrip(' ,')}…"


def label_level(axes: "Axes", value: float, text: str, color: str, style: str, above: bool) -> None:
    """Draws a horizontal line with its label at the right, above or below it."""
    axes.axhline(value, color=color, lw=0.9, ls=style)
    axes.annotate(
        text,
        (1, value),
        (-2, 3) if above else (-2, -9),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize=7.5,
        color=color,
    )


def label_ends(axes: "Axes", ends: Sequence[tuple[int, float, str, str]], last_step: int) -> None:
    """Labels curves at the right margin, with a marker at the end of curves that stop earlier.

    Args:
      axes: its y limits are final.
      ends: (step, value, name, colour) of each curve's end.
      last_step: the right limit.
    """
    ends = sorted(ends, key=lambda end: end[1])
    heights = _spread_out([value for _, value, _, _ in ends], *axes.get_ylim())
    for (step, value, name, color), height in zip(ends, heights):
        if step < last_step:
            axes.plot([step], [value], "o", ms=3.5, color=color)
        axes.annotate(
            shortened(name),
            (1, height),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=color,
            annotation_clip=False,
        )


def _spread_out(values: Sequence[float], low: float, high: float) -> list[float]:
    """Heights of labels that do not overlap, near the given ascending values, below `high`."""
    gap = (high - low) * 0.065
    heights: list[float] = []
    for value in values:
        heights.append(max(value, heights[-1] + gap) if heights else value)
    if heights[-1] > high - gap / 2:
        for place in range(len(heights)):
            heights[place] = min(heights[place], high - gap / 2 - (len(heights) - 1 - place) * gap)
    return heights
