"""The report of a fetch: counts of photos by status, reason and host, and of complete triplets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagefec.data.fetch.photo_cache.ledger import Ledger
from imagefec.fec import TYPE_KEYS

MAX_HOSTS_REPORTED = 50


@dataclasses.dataclass(frozen=True)
class FetchReport:
    """Counts of the csv files' photos and triplets after a fetch.

    Attributes:
      n_urls: number of distinct URLs, n_ok + n_gone + n_failed.
      n_ok: photos in the cache.
      n_gone: URLs whose answer is final.
      n_failed: URLs that the next fetch requests again.
      n_fetched: photos of n_ok that this run downloaded, or copied from file URLs.
      n_imported: photos of n_ok that this run took from the user's folder.
      n_ambiguous: URLs whose name in that folder matches several files or URLs.
      n_bytes: size of all n_ok.
      n_rows_refused: bad rows of the csv files, skipped; each is a lost triplet.
      rows_refused: counts of them by kind.
      reasons: counts of the gone and failed URLs by reason.
      triplets_lost: counts of the triplets without a photo for that reason. A triplet counts for
        each of its reasons.
      hosts: by host the counts by status, for the 50 hosts with the most photos; for hosts that
        throttled also n_throttled, given_up, the final rate_per_s, and whether it refused some
        requests at_any_rate.
      triplets: by split n_triplets, "whole" (those with all three photos), and both by type.
      seconds: duration of the run.
      images_per_s: n_fetched / seconds.
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
    rows_refused: dict[str, int]
    reasons: dict[str, int]
    triplets_lost: dict[str, int]
    hosts: dict[str, dict[str, Any]]
    triplets: dict[str, dict[str, Any]]
    seconds: float
    images_per_s: float

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return dataclasses.asdict(self)


def summarise_fetch(
    ledger: Ledger,
    throttled: Mapping[str, Mapping[str, Any]],
    n_fetched: int,
    n_imported: int,
    n_ambiguous: int,
    rows_refused: Mapping[str, int],
    seconds: float,
) -> FetchReport:
    """Counts what the ledger says about the wanted URLs; memory does not grow with them.

    Args:
      ledger: of the fetch.
      throttled: `FetchRun.throttled`.
      n_fetched: as in FetchReport.
      n_imported: as in FetchReport.
      n_ambiguous: as in FetchReport.
      rows_refused: as in FetchReport.
      seconds: duration of the run.
    """
    n_by_status = {"ok": 0, "gone": 0, "failed": 0}
    reasons: dict[str, int] = {}
    n_bytes = 0
    for status, reason, n, size in ledger.count_by_reason():
        n_by_status[status] += n
        n_bytes += size if status == "ok" else 0
        if reason:
            reasons[reason] = reasons.get(reason, 0) + n
    return FetchReport(
        n_urls=ledger.n_wanted(),
        n_ok=n_by_status["ok"],
        n_gone=n_by_status["gone"],
        n_failed=n_by_status["failed"],
        n_fetched=n_fetched,
        n_imported=n_imported,
        n_ambiguous=n_ambiguous,
        n_bytes=n_bytes,
        n_rows_refused=sum(rows_refused.values()),
        rows_refused=dict(rows_refused),
        reasons=reasons,
        triplets_lost=ledger.count_triplets_lost(),
        hosts=_hosts(ledger, throttled),
        triplets=_triplets(ledger),
        seconds=seconds,
        images_per_s=round(n_fetched / seconds, 1) if seconds else 0.0,
    )


def describe(report: FetchReport) -> str:
    """Writes a report as lines of text: photos, reasons of losses, complete triplets."""
    lines = [
        f"photos    {_share(report.n_ok, report.n_urls)}, {report.n_gone} gone, "
        f"{report.n_failed} failed"
        + (" (the same command retries the failed ones)" if report.n_failed else "")
    ]
    if report.n_imported or report.n_ambiguous:
        lines.append(
            f"imported  {report.n_imported} from your folder, {report.n_ambiguous} skipped: their "
            "names match several files or URLs"
        )
    if report.n_rows_refused:
        kinds = ", ".join(f"{n} {kind}" for kind, n in report.rows_refused.items())
        lines.append(
            f"rows      {report.n_rows_refused} bad rows of the csv files skipped, each a lost "
            f"triplet: {kinds}"
        )
    lines += [
        f"lost      {n}: {reason} ({report.triplets_lost.get(reason, 0)} triplets)"
        for reason, n in list(report.reasons.items())[:_MAX_LINES]
    ]
    lines += [
        f"host      {host} {_described(facts)}"
        for host, facts in report.hosts.items()
        if facts.get("given_up") or facts.get("n_throttled")
    ][:_MAX_LINES]
    for split, counts in report.triplets.items():
        by_type = ", ".join(
            f"{kind} {_share(of_kind['whole'], of_kind['n_triplets'])}"
            for kind, of_kind in counts["by_type"].items()
            if of_kind["n_triplets"]
        )
        share = _share(counts["whole"], counts["n_triplets"])
        lines.append(f"triplets  {split}: {share} complete ({by_type})")
    return "\n".join(lines)


_MAX_LINES = 10  # of each kind


def _described(facts: Mapping[str, Any]) -> str:
    if facts["given_up"]:
        return "was given up in this run"
    return "refused some requests at any rate" if facts["at_any_rate"] else "limited the rate"


def _share(n: int, of: int) -> str:
    return f"{n} of {of}" + (f" ({n / of:.1%})" if of else "")


def _hosts(ledger: Ledger, throttled: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    hosts: dict[str, dict[str, Any]] = {}
    for host, status, n in ledger.count_by_host(MAX_HOSTS_REPORTED):
        hosts.setdefault(host or "file", {"ok": 0, "gone": 0, "failed": 0})[status] = n
    for host, facts in throttled.items():
        hosts.setdefault(host or "file", {}).update(facts)
    return hosts


def _triplets(ledger: Ledger) -> dict[str, dict[str, Any]]:
    splits: dict[str, dict[str, Any]] = {}
    for split, kind, n_triplets, n_complete in ledger.count_triplets():
        no_triplets = {"n_triplets": 0, "whole": 0}
        by_type = {key: dict(no_triplets) for key in TYPE_KEYS}
        of_split = splits.setdefault(split, {**no_triplets, "by_type": by_type})
        for counts in (of_split, of_split["by_type"][kind]):
            counts["n_triplets"] += n_triplets
            counts["whole"] += n_complete
    return splits
