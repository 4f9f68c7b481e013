"""A folder of csv files that one command makes, with a record of how; other files are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagefec import json_files
from imagefec.errors import UserError
from imagefec.fec import EXPRESSIONS_CSV, PERSONS_CSV, SPLITS, csv_file_name

# In the order in which they appear: the next commands need train, so it comes last.
CSV_FILES = (EXPRESSIONS_CSV, PERSONS_CSV, *map(csv_file_name, reversed(SPLITS)))


def refuse_mixture(
    out: Path,
    record: str,
    mine: Mapping[str, Any],
    compared: Iterable[str],
    folds: Sequence[Path] = (),
) -> None:
    """Checks that a folder holds no csv files but those that the same call would replace.

    Args:
      out: the folder; it may be missing.
      record: name of the JSON file in it that says how its csv files were made.
      mine: what this call would record; "made_by" is the command.
      compared: names in `mine` that must agree with an earlier record.
      folds: folders of csv files in `out` that have the same record.

    Raises:
      UserError: it holds csv files that were made in another way, or not by this command.
      OSError: it cannot be read.
    """
    try:
        found = json_files.read_json(out / record)
        if not isinstance(found, dict) or found.get("made_by") != mine["made_by"]:
            raise ValueError("not of this command")
    except (FileNotFoundError, ValueError) as error:
        held = [
            str((folder / name).relative_to(out))
            for folder in (out, *folds)
            for name in CSV_FILES
            if (folder / name).exists()
        ]
        if held or not isinstance(error, FileNotFoundError):
            what = "no" if isinstance(error, FileNotFoundError) else "a foreign, older or damaged"
            more = f" and {len(held) - 5} more" if len(held) > 5 else ""
            raise UserError(
                f"{out}: it holds {', '.join(held[:5]) or 'no csv files'}{more}, and {what} "
                f"{record} of `{mine['made_by']}`, which will not replace what it may not have "
                "made. Give another --out."
            ) from None
        return
    if differing := json_files.differing(found, mine, compared):
        earlier, now = differing
        raise UserError(
            f"{out}: made with {earlier}; now with {now}. Two sets of triplets must not be "
            "mixed. Give another --out, the same settings, or delete this folder."
        )


def remove_other_splits(out: Path, n_triplets: Mapping[str, int]) -> None:
    """Deletes the csv files of splits that have no triplets (any more).

    To be called when the others are in place, so that a failed write deletes nothing.
    """
    for split in SPLITS:
        if not n_triplets.get(split):
            (out / csv_file_name(split)).unlink(missing_ok=True)
