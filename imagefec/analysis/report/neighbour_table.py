"""The report's table of nearest neighbours by label and person, where these are known."""

from imagefec.analysis.report.estimates import mean_over_known, percent
from imagefec.analysis.report.measures import ConditionMeasures, Measures
from imagefec.analysis.report.page import Block, Command, Heading, Table, Text, literal
from imagefec.analysis.report.request import Request

_NONE = "–"
_LABEL, _OTHERS, _PERSON = "same_label", "same_label_other_persons", "same_person"
_COLUMNS = (
    (_LABEL, "1", "same label, nearest"),
    (_LABEL, "4", "of 4"),
    (_LABEL, "10", "of 10"),
    (_OTHERS, "4", "among other persons, of 4"),
    (_PERSON, "1", "same person, nearest"),
)


def table_of_neighbours(measures: Measures, request: Request) -> list[Block]:
    """Shares of neighbours by condition, with chance; no blocks without annotations."""
    first = measures.best.runs[0].neighbours
    columns = [column for column in _COLUMNS if column[0] in first]
    if not columns:
        return []
    has_odd = first.get("same_person_odd") is not None
    header = ("condition", *(name for _, _, name in columns), *(["TPA, same person"] * has_odd))
    rows = [_row(condition, columns, has_odd) for condition in measures.conditions]
    chance = [percent(first[measure][k]["chance"]) for measure, k, _ in columns]
    rows.append(("chance", *chance, *([percent(1 / 3)] * has_odd)))
    return [
        Heading("Neighbours by label and person"),
        Text(
            "Shares of a face's nearest neighbours from other photos: those with its label, those "
            "with its label among the faces of other persons only, and those that show the same "
            "person, which an embedding of expressions should find no more often than chance. "
            "Chance is the share among all faces that may be neighbours."
            + (
                " The last column is the TPA on the triplets whose odd one is the same person as "
                "one of the two others."
                if has_odd
                else ""
            )
            + " Means over seeds ± their standard error; for one seed, no error is given."
        ),
        Command((request.evaluate(measures.best.runs[0].run.path, "--json") + request.known,)),
        Table(header, tuple(rows)),
    ]


def _row(
    condition: ConditionMeasures, columns: list[tuple[str, str, str]], has_odd: bool
) -> tuple[str, ...]:
    found = [run.neighbours for run in condition.runs]
    cells = [
        mean_over_known(
            [of_run[measure][k]["share"] if measure in of_run else None for of_run in found]
        )
        for measure, k, _ in columns
    ]
    if has_odd:
        cells.append(mean_over_known([of_run["same_person_odd"]["tpa"] for of_run in found]))
    shown = (_NONE if cell is None else percent(cell) for cell in cells)
    return (literal(condition.name), *shown)
