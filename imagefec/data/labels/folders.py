"""Reads folders by label: [split/]label/*.jpg, or the levels that `--by=folders:…` names."""

from __future__ import annotations

from pathlib import Path

from imagefec.data.labels.columns import FOLDERS, Columns
from imagefec.data.labels.source import LABEL, SPLIT_NAMES, LabelledFace, Source, plain
from imagefec.errors import UserError
from imagefec.faces.image_files import LeftOut, find_images

OUTSIDE = "not in a folder that names its label"
NO_SPLIT = "in a folder that names no split"
BLANK = "in a folder with a blank name"
NOT_UTF8 = "name is not UTF-8 text"


def read_folders(root: Path, by: Columns) -> Source:
    """Reads the photos of a folder, whose parents' names say what they show.

    Args:
      root: folder of photos; links are followed.
      by: from `columns.parse_by`; only folders is allowed. Without it, the first level is the
        split if every folder that has photos is named like one (train, val, test, …), and the
        label otherwise. Photos may lie deeper than the last level.

    Raises:
      UserError: there are no photos, none has a label, or `by` names columns.
    """
    others = [role for role in by if role != FOLDERS]
    if others:
        raise UserError(
            f"{root}: --by={others[0]}:… is for tables; SOURCE is a folder, for which "
            "--by=folders:split/label/person names the levels."
        )
    found = find_images(root, every_name=True)
    paths = [path.relative_to(root) for path in found.paths]
    levels = by.get(FOLDERS) or _usual_levels(paths)
    source = Source(LABEL, [], {FOLDERS: "/".join(levels)}, left_out=found.left_out)
    for path in paths:
        face = _face(root, path, levels, source.left_out)
        if face is not None:
            source.faces.append(face)
    if not source.faces:
        raise UserError(
            f"{root}: found {len(paths)} photos, none of them in folders {'/'.join(levels)}/ "
            f"({'; '.join(source.left_out.lines())}). Put the photos of a label in a folder of its "
            "name, or name the levels with --by=folders:…."
        )
    return source


def _usual_levels(paths: list[Path]) -> tuple[str, ...]:
    first = {path.parts[0] for path in paths if len(path.parts) > 1}
    deep = all(len(path.parts) > 2 for path in paths if len(path.parts) > 1)
    is_split = first and all(plain(name) in SPLIT_NAMES for name in first)
    return ("split", LABEL) if is_split and deep else (LABEL,)


def _face(
    root: Path, path: Path, levels: tuple[str, ...], left_out: LeftOut
) -> LabelledFace | None:
    if not path.as_posix().isprintable() and not _is_text(path.as_posix()):
        left_out.add(NOT_UTF8, ascii(path.as_posix())[1:-1])
        return None
    *folders, _ = path.parts
    if len(folders) < len(levels):
        left_out.add(OUTSIDE, path)
        return None
    named = dict(zip(levels, folders))
    if not all(plain(named[level]) for level in (LABEL, "person") if level in named):
        left_out.add(BLANK, path)
        return None
    split = SPLIT_NAMES.get(plain(named.get("split", "")), "")
    if "split" in named and not split:
        left_out.add(NO_SPLIT, path)
        return None
    return LabelledFace(
        path.as_posix(),
        root / path,
        label=named[LABEL],
        person=named.get("person", ""),
        split=split,
    )


def _is_text(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)  # how Python decodes other bytes
