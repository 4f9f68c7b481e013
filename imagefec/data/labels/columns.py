"""Which columns of a table, or levels of a folder, hold what: `--by`, and names that are known."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence

from imagefec.data.labels.source import COUNTS, KINDS, LABEL, RATINGS
from imagefec.errors import UserError

FOLDERS = "folders"
_ONE = ("path", "url", "label", "person", "split")  # roles of one column
_SEVERAL = ("box", COUNTS, RATINGS)
ROLES = (*_ONE, *_SEVERAL, FOLDERS)
LEVELS = ("split", "label", "person", "-")
# Column names that are understood without --by, without case, spaces, hyphens and underscores.
_KNOWN = {
    "path": [
        "path",
        "file",
        "filename",
        "filepath",
        "image",
        "imagename",
        "imagepath",
        "imagefile",
        "imgpath",
        "photo",
    ],
    "url": ["url", "imageurl", "photourl"],
    "label": [
        "label",
        "emotion",
        "expression",
        "emotionlabel",
        "expressionlabel",
        "class",
        "category",
    ],
    "person": [
        "person",
        "personid",
        "subject",
        "subjectid",
        "identity",
        "identityid",
        "participant",
    ],
    "split": ["split", "usage", "subset", "set"],
    "id": ["faceid", "id", "ids"],  # of a face of a dataset; `triplets` has no such role
}
_SIDES = ("left", "right", "top", "bottom")
_RATED = ("valence", "arousal", "dominance")
_EXPRESSION = re.compile(
    "neutral|happiness|happy|joy|surprised?|sad|sadness|anger|angry|disgust(ed)?|fear|fearful|"
    "contempt|awe|amusement"
)

Columns = dict[str, tuple[str, ...]]


def parse_by(texts: Sequence[str]) -> Columns:
    """Reads the values of --by, each ROLE:NAME[,NAME…].

    Args:
      texts: such as "label:emotion", "counts:neutral,happiness", "ratings:valence,arousal",
        "box:x0,x1,y0,y1" (left, right, top, bottom), "folders:split/label/person", and "person:"
        to ignore a column that would be used. A name with a comma is put in double quotes.

    Returns:
      Column names by role; () for a role to ignore.

    Raises:
      UserError: a role is unknown or given twice, or has a wrong number of names.
    """
    found: Columns = {}
    for text in texts:
        role, colon, rest = text.partition(":")
        names = _names(rest, "/" if role == FOLDERS else ",")
        if role not in ROLES or not colon:
            raise UserError(
                f"--by={text}: found {role!r}; allowed are ROLE:COLUMN[,COLUMN…] with one of the "
                f"roles {', '.join(ROLES)}, for example --by=label:emotion."
            )
        if role in found:
            raise UserError(f"--by={text}: {role} is given twice; give it once.")
        wanted = {"box": (0, 4), **dict.fromkeys(_ONE, (0, 1))}.get(role, range(100_000))
        if len(names) not in wanted or len(set(names)) < len(names):
            raise UserError(
                f"--by={text}: {role} takes {_n_wanted(role)}; found {len(names)}, "
                f"{len(set(names))} of them different."
            )
        found[role] = names
    if len([kind for kind in KINDS if found.get(kind)]) > 1:
        raise UserError("--by: give only one of label, counts and ratings.")
    _check_levels(found.get(FOLDERS))
    return found


def columns_of(header: Sequence[str], by: Columns, where: str) -> tuple[str, Columns]:
    """Decides which columns of a table are read as what.

    Args:
      header: the table's column names.
      by: what the user said, which goes before what names suggest.
      where: the table, for messages.

    Returns:
      (kind, columns): one of source.KINDS, and column names by role, all of them in the header.

    Raises:
      UserError: a column does not exist, one side of a box is missing, or the names do not tell
        where the photos or the labels are.
    """
    _refuse_repeated(header, where)
    if FOLDERS in by:
        raise UserError(f"{where}: --by=folders is for a SOURCE that is a folder of photos.")
    for role, names in by.items():
        for name in names:
            if name not in header:
                raise UserError(
                    f"{where}: --by={role}:{name}: there is no column {name!r}; {_has(header)}"
                )
    columns = {role: names for role, names in by.items() if names}
    taken = {name for names in columns.values() for name in names}
    free = _by_squeezed(name for name in header if name not in taken)
    has_kind = any(by.get(kind) for kind in KINDS)
    roles = [role for role in (*_ONE, "box") if role not in by and (role != LABEL or not has_kind)]
    columns |= _take_known(free, roles, where)
    if "path" not in columns and "url" not in columns:
        raise UserError(
            f"{where}: no column is known to name the photos; {_has(header)} Say which one does: "
            "--by=path:COLUMN or --by=url:COLUMN."
        )
    return _kind(columns, free, by, header, where), columns


def known_columns(header: Sequence[str], roles: Sequence[str], where: str) -> Columns:
    """The columns whose names say what they hold.

    Args:
      header: the table's column names.
      roles: which to look for: "id" of a face, "path", "url", "label", "person", "split", "box".
      where: the table, for messages.

    Returns:
      Column names by role, without the roles that have none.

    Raises:
      UserError: two columns could be meant, which differ only in how the name is spelled; or
        one side of a box is missing.
    """
    return _take_known(_by_squeezed(header), roles, where)


def photo_columns(header: Sequence[str], where: str) -> Columns:
    """The columns of a table of photos, found by their names.

    Args:
      header: the table's column names.
      where: the table, for messages.

    Raises:
      UserError: no column names the photos, two columns have one name but for its spelling, or
        one side of a box is missing.
    """
    _refuse_repeated(header, where)
    columns = known_columns(header, (*_ONE, "box"), where)
    if "path" not in columns and "url" not in columns:
        raise UserError(
            f"{where}: no column is known to name the photos; {_has(header)} Rename the one that "
            "does to path."
        )
    return columns


def _refuse_repeated(header: Sequence[str], where: str) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{where}: it has two columns {repeated[0]!r}; rename one of them.")


def _by_squeezed(header: Iterable[str]) -> dict[str, list[str]]:
    """Column names by squeezed name: several if they differ only in spelling."""
    found: dict[str, list[str]] = {}
    for name in header:
        found.setdefault(_squeezed(name), []).append(name)
    return found


def _take(free: dict[str, list[str]], key: str, where: str) -> str:
    """Removes the column of a squeezed name from the free ones, and returns its name."""
    names = free.pop(key)
    _refuse_repeated(names, where)
    if len(names) > 1:
        raise UserError(
            f"{where}: it has the columns {names[0]!r} and {names[1]!r}, which differ only in "
            "letter case, spaces, hyphens or underscores; rename one of them."
        )
    return names[0]


def _take_known(free: dict[str, list[str]], roles: Sequence[str], where: str) -> Columns:
    """Finds the roles' columns among the free ones, by squeezed name, and removes them there."""
    found: Columns = {}
    for role in roles:
        names = [name for name in _KNOWN.get(role, ()) if name in free][:1]
        if role == "box":
            names = _sides(free, where)
        if names:
            found[role] = tuple(_take(free, name, where) for name in names)
    return found


def _sides(free: dict[str, list[str]], where: str) -> list[str]:
    """The names of a box's sides if all four are free; one or two may mean something else."""
    found = [side for side in _SIDES if side in free]
    if len(found) == 3:
        missing = next(side for side in _SIDES if side not in free)
        raise UserError(
            f"{where}: it has {', '.join(found)}, but no {missing}; a box needs all four. Add the "
            "column, or rename these, so that no box is read."
        )
    return found if len(found) == 4 else []


def _kind(
    columns: Columns, free: dict[str, list[str]], by: Columns, header: Sequence[str], where: str
) -> str:
    for kind in KINDS:
        if kind in columns:
            return kind
    rated = [key for key in _RATED if key in free]
    if len(rated) > 1 and RATINGS not in by:
        columns[RATINGS] = tuple(_take(free, key, where) for key in rated)
        return RATINGS
    counted = [key for key in free if _EXPRESSION.fullmatch(key)]
    if len(counted) > 2 and COUNTS not in by:
        columns[COUNTS] = tuple(_take(free, key, where) for key in counted)
        return COUNTS
    raise UserError(
        f"{where}: no column is known to be a label, counts or ratings; {_has(header)} Say how to "
        "read them: --by=label:COLUMN, --by=counts:COLUMN,COLUMN… (how many raters chose each "
        "label) or --by=ratings:COLUMN,COLUMN…."
    )


def _names(text: str, separator: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        cells = next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        raise UserError(
            f"--by=…:{text}: {error}; a name with {separator!r} or a quote is put in double quotes."
        ) from None
    return tuple(name.strip() for name in cells)


def _n_wanted(role: str) -> str:
    if role in _ONE:
        return "one column"
    return "four columns: left, right, top, bottom" if role == "box" else "different columns"


def _check_levels(levels: tuple[str, ...] | None) -> None:
    if levels is None:
        return
    named = [level for level in levels if level != "-"]
    if (
        set(levels) - set(LEVELS)
        or len(set(named)) < len(named)
        or (levels and LABEL not in levels)
    ):
        raise UserError(
            f"--by=folders:{'/'.join(levels)}: allowed are the levels {', '.join(LEVELS)} (- for "
            "one that means nothing), each once, with label among them, such as "
            "folders:split/label or folders:person/label."
        )


def _squeezed(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _has(header: Sequence[str]) -> str:
    some = ", ".join(repr(name) for name in header[:20])
    return f"it has the columns {some}{', …' if len(header) > 20 else ''}."
