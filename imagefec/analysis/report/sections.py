"""What stands on a report's page and in which order; the numbers come from measures, the looks from report_page."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from imagefec.analysis.orderings import K
from imagefec.analysis.report import plots
from imagefec.analysis.report.answers import Answer, n_of, number, percent, points
from imagefec.analysis.report.measures import ConditionMeasures, Contrast, Estimate, Measures
from imagefec.analysis.report.page import Block, Command, Heading, Picture, Table, Text
from imagefec.fec import TripletType

_TYPES = {kind.key: kind.display_name for kind in TripletType}
_MADE_ABOVE = Text("Made by the `imagefec report` command at the top of this page.")


@dataclass(frozen=True)
class Request:
    """What the report was asked for, as it was typed: for the commands on the page."""

    runs: tuple[str, ...]
    data_dir: str
    dataset: str
    split: str
    out: str

    @property
    def command(self) -> str:
        return (
            f"imagefec report --runs {' '.join(map(shlex.quote, self.runs))} {self.data} "
            f"--out={shlex.quote(self.out)}"
        )

    @property
    def data(self) -> str:
        return (
            f"--data_dir={shlex.quote(self.data_dir)} --dataset={self.dataset} --split={self.split}"
        )

    def evaluate(self, run: object, *more: str) -> str:
        return " ".join(["imagefec evaluate", f"--run={shlex.quote(str(run))}", self.data, *more])


def first_screen(answers: Sequence[Answer], request: Request) -> list[Block]:
    """The three questions with their answers, and the command that made all of it."""
    blocks: list[Block] = [
        Text(f"**{place}. {answer.question}**\n\n**{answer.verdict}** {answer.text}")
        for place, answer in enumerate(answers, start=1)
    ]
    return [
        *blocks,
        Text(
            "± is one standard error; a difference counts as clear beyond two. The whole page is made by this "
            "command; a section whose numbers can be had alone names the command for that."
        ),
        Command((request.command,)),
    ]


def table_of_conditions(measures: Measures, request: Request, ranges_said: str) -> list[Block]:
    """All conditions in numbers."""
    types = [
        name
        for name in measures.ceiling_by_type
        if any(one.by_type[name] for one in measures.conditions)
    ]
    header = (
        "condition",
        "seeds",
        "TPA, ± over seeds",
        "± by triplets",
        *(_TYPES.get(name, name) for name in types),
        "view distance",
        "spread",
        "images/s",
        "steps",
    )
    rows = [
        (
            one.name,
            _listed(one.seeds),
            percent(one.tpa),
            f"{100 * one.triplet_error:.1f}",
            *(percent(one.by_type[name]) for name in types),
            number(one.invariance),
            number(one.spread),
            f"{one.images_per_second:,.0f}" if one.images_per_second else "–",
            _listed(run.step for run in one.runs),
        )
        for one in measures.conditions
    ]
    if measures.ceiling is not None:
        rows.append(
            (
                "raters' ceiling",
                "–",
                percent(measures.ceiling),
                "–",
                *(percent(measures.ceiling_by_type[name]) for name in types),
                "–",
                "–",
                "–",
                "–",
            )
        )
    best = measures.best.runs[0].run
    return [
        Heading("Conditions"),
        Text(
            "Runs that differ in their seed alone are one condition. TPA by seed and by triplet: the first error is that of the "
            "mean over seeds, the second that of the choice of triplets, where those that show one photograph count as going "
            "right or wrong together. View distance is the distance of the embeddings of two augmented views of a face "
            f"as a share of the distance between different faces ({ranges_said}): less is more invariant. Spread is the root "
            "mean square distance of two embeddings, 1.41 where they fill the sphere. Steps are those of the checkpoints used."
        ),
        Command(
            (
                request.evaluate(best.path, "--invariance", "--json"),
                "# and so for each run; a run is made again by",
                f"imagefec train --config_file={shlex.quote(str(best.path / 'config.gin'))} "
                f"--data_dir={shlex.quote(request.data_dir)} --output_dir=NEW",
            )
        ),
        Table(header, tuple(rows)),
    ]


def curves(measures: Measures, request: Request) -> list[Block]:
    """TPA during training."""
    data = plots.plot_curves(measures)
    if data is None:
        return [Heading("Training curves"), Text("None of the runs kept its history.json.")]
    return [
        Heading("Training curves"),
        _MADE_ABOVE,
        Picture(
            "curves.png",
            data,
            "TPA against training step for each condition",
            "TPA on the split of each run's own evaluations (`training.eval_split`) during training: thin lines are "
            "seeds, thick ones their mean.",
        ),
    ]


def by_type(measures: Measures, request: Request) -> list[Block]:
    """TPA by type of triplet against the ceiling."""
    return [
        Heading("TPA by type of triplet"),
        Command((request.evaluate(measures.best.runs[0].run.path, "--json"),)),
        Picture(
            "types.png",
            plots.plot_types(measures),
            "TPA of each condition by type of triplet",
            "Mean over seeds with its standard error. Solid line: how often a rater agrees with the others. "
            "Dotted: chance.",
        ),
    ]


def comparisons(measures: Measures, request: Request) -> list[Block]:
    """Conditions and runs against the best."""
    if not measures.contrasts:
        return []
    best = measures.best
    by_condition = tuple(
        (
            one.first.name,
            points(one.difference),
            _error(one.seed_error),
            _error(one.triplet_error),
            f"{one.paired} paired" if one.paired else "unpaired",
            _clear(one),
        )
        for one in measures.contrasts
    )
    by_run = tuple(
        (
            f"{name}, seed {run.run.seed}",
            str(other.run.seed),
            f"{100 * found['difference']:+.1f}".replace("-", "−"),
            _error(found["standard_error"]),
            f"{100 * found['low']:+.1f} to {100 * found['high']:+.1f}".replace("-", "−"),
            f"{found['p_not_higher']:.3f}",
        )
        for name, run, other, found in measures.comparisons
    )
    _, run, other, _ = measures.comparisons[0]
    return [
        Heading(f"Against the best condition, {best.name}"),
        Text(
            "Differences of TPA in points, on the same triplets. The first table compares means over seeds; its whole error "
            "joins that of the seeds and that of the triplets. The second compares single runs by a paired bootstrap over "
            "triplets (2,000 draws); its last column is the share of draws in which the run is no better."
        ),
        Command(
            (
                request.evaluate(
                    run.run.path, f"--against={shlex.quote(str(other.run.path))}", "--json"
                ),
            )
        ),
        Table(
            ("condition", "difference", "± by seeds", "± by triplets", "seeds", "beyond 2 errors"),
            by_condition,
        ),
        Table(
            (
                "run",
                "best's seed",
                "difference",
                "± clustered",
                "95 % interval",
                "share not better",
            ),
            by_run,
        ),
    ]


def uda(measures: Measures, request: Request) -> list[Block]:
    """TPA and invariance with and without the UDA term."""
    blocks: list[Block] = [Heading("Unsupervised data augmentation")]
    if not measures.uda:
        return [
            *blocks,
            Text(
                "No two of the conditions differ in the weight of UDA alone, one of them without it."
            ),
        ]
    blocks.append(_MADE_ABOVE)
    for place, (series, contrasts) in enumerate(measures.uda, start=1):
        name = "uda.png" if len(measures.uda) == 1 else f"uda{place}.png"
        rows = [_uda_row(series[0], None), *(_uda_row(one.first, one) for one in contrasts)]
        blocks += [
            Picture(
                name,
                plots.plot_uda(series),
                "TPA and view distance against the weight of UDA",
                f"UDA: {series[1].condition.uda_term or 'as it comes'}; weight 0 is “{series[0].name}”. "
                "Dots are seeds; the line joins their means, with standard errors.",
            ),
            Table(
                ("weight", "seeds", "TPA", "change of TPA", "view distance", "change of it"),
                tuple(rows),
            ),
        ]
    return blocks


def likeness(measures: Measures, request: Request, gallery: Picture | None) -> list[Block]:
    """How alike the runs order faces, and what that looks like."""
    blocks: list[Block] = [Heading("Neighbours and order of faces"), _MADE_ABOVE]
    data = plots.plot_pairs(measures)
    if data is None:
        return [
            *blocks,
            Text("One run alone, or faces that cannot be ordered: there is no pair to compare."),
        ]
    blocks.append(
        Picture(
            "pairs.png",
            data,
            "Agreement of pairs of runs against their difference of TPA",
            f"Each mark is a pair of runs. Left: how many of the {K} nearest neighbours of a face they share, none from the face's "
            f"own photograph. Right: Spearman's correlation of the distances from a face to the others. Means over the same "
            f"{measures.n_queries} faces.",
        )
    )
    if gallery is not None:
        blocks += [
            Heading("Best and worst side by side", 3),
            Command(
                tuple(
                    f"imagefec gallery --run={shlex.quote(str(one.runs[0].run.path))} {request.data} --k={K} --out=gallery_{side}"
                    for side, one in (("best", measures.best), ("worst", measures.worst))
                )
            ),
            gallery,
        ]
    return blocks


def _uda_row(one: ConditionMeasures, change: Contrast | None) -> tuple[str, ...]:
    moved = change.invariance if change else None
    return (
        f"{one.condition.uda_weight:g}",
        _listed(one.seeds),
        percent(Estimate(one.tpa.value, one.whole_error)),
        points(change.difference) if change else "–",
        number(one.invariance),
        f"{number(moved)}" if moved else "–",
    )


def _listed(values: object) -> str:
    return ", ".join("–" if value is None else f"{value:,}" for value in values)


def _error(value: float | None) -> str:
    return "–" if value is None or value != value else f"{100 * value:.1f}"


def _clear(one: Contrast) -> str:
    return "yes" if one.difference.clear else "no"


def facts(measures: Measures, request: Request) -> str:
    """One line under the title."""
    n_runs = sum(len(one.runs) for one in measures.conditions)
    return (
        f"{n_of(n_runs, 'run')} in {n_of(len(measures.conditions), 'condition')} on {request.dataset}, {request.split}: "
        f"{measures.n_triplets:,} triplets of {measures.n_faces:,} faces."
    )
