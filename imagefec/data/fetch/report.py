"""What the fetch tells: photos by status, reason and host, and the triplets that are still whole."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagefec.data.fec_csv import read_rows, split_of
from imagefec.data.fetch.ledger import Ledger
from imagefec.fec import TYPE_KEYS

MOST_HOSTS = 50  # told of in the report


@dataclasses.dataclass(frozen=True)
class FetchReport:
    """What the cache holds of the csv files' photos: n_ok + n_gone + n_failed = n_urls.

    `n_fetched` photos of the n_ok came in this very run over the network (or by file: urls),
      `n_imported` from the user's
    folder, where `n_ambiguous` more had names that fit several; `n_bytes` is the size of all n_ok.
    `reasons` counts the gone and the failed. `hosts` has the statuses of the 50 hosts with the most
    photos, and of those that refused how often, and at which rate they were asked in the end.
    `triplets` has by split, and by type, how many there are and how many have all three photos.
    `n_rows_refused` rows of the csv files were skipped.
    """

    n_urls: int
    n_ok: int
    n_gone: int
    n_failed: int
    n_fetched: int
    n_imported: int
    n_ambiguous: int
    n_bytes: int
    n_rows_refused: int
    reasons: dict[str, int]
    hosts: dict[str, dict]
    triplets: dict[str, dict]
    seconds: float
    images_per_s: float

    def as_json(self) -> dict:
        return dataclasses.asdict(self)


def make_report(
    ledger: Ledger,
    csv_paths: Sequence[str | os.PathLike],
    throttled: Mapping[str, dict],
    n_fetched: int,
    n_imported: int,
    n_ambiguous: int,
    n_rows_refused: int,
    started_at: float,
) -> FetchReport:
    """Counts what the ledger holds of the wanted urls; memory does not grow with them. `started_at` is of `time.monotonic`."""
    n_by_status, reasons, n_bytes = {"ok": 0, "gone": 0, "failed": 0}, {}, 0
    for status, reason, n, size in ledger.tally():
        n_by_status[status] += n
        n_bytes += size if status == "ok" else 0
        if reason:
            reasons[reason] = reasons.get(reason, 0) + n
    hosts: dict[str, dict] = {}
    for host, status, n in ledger.tally_by_host(MOST_HOSTS):
        hosts.setdefault(host or "file", {"ok": 0, "gone": 0, "failed": 0})[status] = n
    for host, facts in throttled.items():
        hosts.setdefault(host or "file", {}).update(facts)
    triplets = _whole_triplets(ledger, csv_paths)
    seconds = time.monotonic() - started_at
    return FetchReport(
        n_urls=ledger.n_wanted(),
        n_ok=n_by_status["ok"],
        n_gone=n_by_status["gone"],
        n_failed=n_by_status["failed"],
        n_fetched=n_fetched,
        n_imported=n_imported,
        n_ambiguous=n_ambiguous,
        n_bytes=n_bytes,
        n_rows_refused=n_rows_refused,
        reasons=reasons,
        hosts=hosts,
        triplets=triplets,
        seconds=seconds,
        images_per_s=round(n_fetched / seconds, 1) if seconds else 0.0,
    )


def describe(report: FetchReport) -> str:
    """The report as lines for a person: photos by status, why some are not there, triplets still whole by split and type."""
    lines = [
        f"photos    {_share(report.n_ok, report.n_urls)}, {report.n_gone} gone, {report.n_failed} failed"
        + (" (the same command asks for the failed again)" if report.n_failed else "")
    ]
    if report.n_imported or report.n_ambiguous:
        lines.append(
            f"yours     {report.n_imported} taken, {report.n_ambiguous} passed over for names that fit several"
        )
    if report.n_rows_refused:
        lines.append(f"rows      {report.n_rows_refused} of the csv files skipped")
    lines += [
        f"lost      {n} by {reason}" for reason, n in list(report.reasons.items())[:_MOST_REASONS]
    ]
    lines += [
        f"host      {host} {'was given up in this run' if facts['given_up'] else 'limited the rate'}"
        for host, facts in report.hosts.items()
        if facts.get("given_up") or facts.get("n_throttled")
    ][:_MOST_REASONS]
    for split, counts in report.triplets.items():
        by_type = ", ".join(
            f"{kind} {_share(of_kind['whole'], of_kind['n_triplets'])}"
            for kind, of_kind in counts["by_type"].items()
            if of_kind["n_triplets"]
        )
        lines.append(
            f"triplets  {split}: {_share(counts['whole'], counts['n_triplets'])} whole ({by_type})"
        )
    return "\n".join(lines)


def write_stats(path: Path, report: FetchReport) -> None:
    """Writes the report as JSON, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


_MOST_REASONS = 10


def _share(n: int, of: int) -> str:
    return f"{n} of {of}" + (f" ({n / of:.1%})" if of else "")


def _whole_triplets(ledger: Ledger, csv_paths: Sequence[str | os.PathLike]) -> dict[str, dict]:
    splits: dict[str, dict] = {}
    for path in csv_paths:
        split = splits.setdefault(
            _split(path),
            {
                "n_triplets": 0,
                "whole": 0,
                "by_type": {kind: {"n_triplets": 0, "whole": 0} for kind in TYPE_KEYS},
            },
        )
        for row in read_rows(path, skip_bad_rows=True):
            whole = ledger.n_whole([face.url for face in row.faces]) == len(row.faces)
            for counts in (split, split["by_type"][row.type.key]):
                counts["n_triplets"] += 1
                counts["whole"] += whole
    return splits


def _split(path: str | os.PathLike) -> str:
    try:
        return split_of(path)
    except Exception:  # a csv file of another name is no split, and is counted under its own name
        return Path(path).name
