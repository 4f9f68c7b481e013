"""`imagefec judge`: serves a project's page until it is stopped, and writes its csv files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import imagefec
from imagefec import files
from imagefec.errors import UserError
from imagefec.paths import readable
from imagefec.serving import listening
from imagefec.serving.judging import fec_files
from imagefec.serving.judging.journal import NAME, Journal, Record, read_records
from imagefec.serving.judging.project import (
    Project,
    Settings,
    check_folders,
    open_project,
    split_counts,
    split_warnings,
)
from imagefec.serving.judging.raters import Raters, standing_answers
from imagefec.serving.judging.report import report_lines
from imagefec.serving.judging.schedule import Plan, Schedule

DEFAULT_PORT = 8766


@dataclass(frozen=True)
class Sharing:
    """How trials are chosen; may differ between two starts.

    Attributes:
      common_share: as of `schedule.Plan`.
      active_share: likewise.
      session: trials after which the page pauses.
    """

    common_share: float = 0.2
    active_share: float = 0.5
    session: int = 60


def judge(
    photos: Path,
    out: Path,
    settings: Settings,
    sharing: Sharing,
    model: Path | None = None,
    port: int = DEFAULT_PORT,
    host: str = listening.LOOPBACK,
    allow_origin: Sequence[str] = (),
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    stdout: TextIO | None = None,
) -> str:
    """Serves the judging page until ctrl-C or SIGTERM; the csv files are written at both ends.

    Args:
      photos: folder or table of photos.
      out: the project's folder.
      settings: of the project.
      sharing: how trials are chosen.
      model: run by whose margins train triplets are chosen; None for random ones only.
      port: to listen on; 0 for any that is free.
      host: address to listen on.
      allow_origin: exact origins of proxies in front of the service.
      tls_cert: certificate file, PEM, for a host that other machines reach.
      tls_key: its key file.
      stdout: gets the page's URL when the service is ready; None for stdout.

    Returns:
      The path of the project's folder, if the service ended by itself.

    Raises:
      UserError: an argument is wrong, or the project cannot be opened.
      KeyboardInterrupt: it was stopped.
    """
    opened = listening.listen(host, port, tls_cert, tls_key, allow_origin)
    with opened.socket, _open(photos, out, settings) as (project, journal):
        margins = None
        if model is not None:
            from imagefec.serving.judging.margins import margins_of

            margins = margins_of(project, model)
        _say_faces(project)
        schedule = Schedule(_plan(project, sharing), margins)
        raters = Raters(schedule, journal, project.settings.seed, sharing.session)
        _export(project, journal.records)
        try:
            from imagefec.serving.judging.app import make_app
            from imagefec.serving.running import run_app

            app = make_app(raters, project.pictures, opened.allowed, imagefec.__version__)
            run_app(app, opened, "judge", lambda: print(opened.url, file=stdout, flush=True))
        finally:
            _say(_export(project, journal.records))
    return str(out)


def export_answers(
    photos: Path,
    out: Path,
    settings: Settings,
    without: Sequence[str] = (),
    quiet: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes the csv files and the report of a project.

    Args:
      photos: folder or table of photos.
      out: the project's folder.
      settings: of the project.
      without: raters whose answers are left out of the csv files.
      quiet: print no report.
      dry_run: write nothing, and do not wait for the end of a judging that goes on.

    Returns:
      The record, as `fec_files.export`.

    Raises:
      UserError: there are no answers, or fewer than the csv files have triplets; a rater of
        `without` has none; or the project cannot be opened.
    """
    if not (out / NAME).exists():
        fec_files.refuse_lost_answers(out, [])
        raise UserError(
            f"{out}: has no answers ({NAME}). Run the command without --export and judge."
        )
    if dry_run:
        check_folders(photos, out)
        project = open_project(photos, out, settings, read_only=True)
        records = _read_records(project)
        record = _export_without(project, records, without, dry_run)
    else:
        with _open(photos, out, settings) as (project, journal):
            record = _export_without(project, journal.records, without)
    if not quiet:
        _say(record)
    return record


def _export_without(
    project: Project, records: Sequence[Record], without: Sequence[str], dry_run: bool = False
) -> dict[str, Any]:
    known = standing_answers(records, project.out / NAME).keys()
    for name in without:
        if name not in known:
            raise UserError(
                f"--without {name}: no rater of {project.out} has this name; there are "
                f"{', '.join(sorted(known)) or 'none'}."
            )
    return _export(project, records, without, dry_run)


@contextlib.contextmanager
def _open(photos: Path, out: Path, settings: Settings) -> Iterator[tuple[Project, Journal]]:
    check_folders(photos, out)
    with files.folder_lock(out, "judge", "--out"):
        project = open_project(photos, out, settings)
        _read_records(project)  # before the journal is made or changed
        journal = Journal(out / NAME, project.faces.__contains__)
        try:
            yield project, journal
        finally:
            journal.close()


def _read_records(project: Project) -> list[Record]:
    """The records of a project's journal; UserError if some are lost."""
    records = read_records(project.out / NAME, project.faces.__contains__)
    fec_files.refuse_lost_answers(project.out, records)
    return records


def _plan(project: Project, sharing: Sharing) -> Plan:
    settings = project.settings
    return Plan(
        settings.seed,
        project.splits,
        project.labels,
        settings.validation_fraction,
        settings.test_fraction,
        sharing.common_share,
        sharing.active_share,
    )


def _export(
    project: Project,
    records: Sequence[Record],
    without: Sequence[str] = (),
    dry_run: bool = False,
) -> dict[str, Any]:
    standing = standing_answers(records, project.out / NAME)
    return fec_files.export(project, standing, records, without, dry_run)


def _say_faces(project: Project) -> None:
    """What is judged and what is left out, with the reasons."""
    counts = ", ".join(f"{split} {n}" for split, n in split_counts(project).items())
    labels = len(set(project.labels.values()) - {""})
    named = f"{labels} labels" if labels else "no labels"
    print(f"judge: {len(project.faces)} faces ({counts}), {named}", file=sys.stderr)
    for reason, found in project.left_out.items():
        print(
            f"judge: {reason}: {found['count']}, such as {readable(', '.join(found['first'][:2]))}",
            file=sys.stderr,
        )
    for warning in split_warnings(project):
        print(f"judge: {warning}", file=sys.stderr)


def _say(record: dict[str, Any]) -> None:
    for line in report_lines(record):
        print(f"judge: {line}", file=sys.stderr)
    if n_lost := record["lost_lines"]:
        print(f"judge: {NAME}: lines whose answers are lost: {n_lost}", file=sys.stderr)
    print(f"judge: triplets: {triplet_counts(record)}; in {record['path']}", file=sys.stderr)


def triplet_counts(record: dict[str, Any]) -> str:
    """Number of triplets of each split, as text."""
    return ", ".join(f"{split} {n}" for split, n in record["triplets"].items())
