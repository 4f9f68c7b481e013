"""What a fetch would do, counted and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagefec.plan import Plan, shown_bytes

_MAX_HOSTS = 5  # named


@dataclass(frozen=True)
class PlannedFetch:
    """The work of a fetch.

    Attributes:
      n_urls: distinct URLs of the csv files.
      n_cached: URLs whose photo is in the cache.
      n_gone: URLs whose answer was final, which are not requested again.
      n_imported: photos that would be taken from --from_dir, by their names.
      by_host: number of URLs that would be requested, by host; "" for files.
      mean_bytes: size of the photos in the cache; None if there are none.
      n_rows_refused: bad rows that would be skipped.
    """

    n_urls: int
    n_cached: int
    n_gone: int
    n_imported: int
    by_host: Mapping[str, int]
    mean_bytes: float | None
    n_rows_refused: int

    def plan(self, cache_dir: Path) -> Plan:
        """The plan of a fetch into a cache."""
        n = sum(self.by_host.values())
        hosts = {host or "file": of_host for host, of_host in self.by_host.items()}
        lines = [f"photos    {n} of {self.n_urls} would be requested"]
        if n:
            shown = [f"{host} {of_host}" for host, of_host in hosts.items()]
            others = f", and {len(hosts) - _MAX_HOSTS} more" if len(hosts) > _MAX_HOSTS else ""
            lines.append(f"hosts     {len(hosts)}: {', '.join(shown[:_MAX_HOSTS])}{others}")
        lines.append(f"done      {self.n_cached} in the cache, {self.n_gone} gone")
        if self.n_imported:
            lines.append(f"imported  up to {self.n_imported} from --from_dir, by their names")
        n_bytes = None if self.mean_bytes is None else round(n * self.mean_bytes)
        if n_bytes:
            lines.append(
                f"size      about {shown_bytes(n_bytes)}, if as large as those in the cache"
            )
        if self.n_rows_refused:
            lines.append(f"rows      {self.n_rows_refused} bad rows would be skipped")
        facts = {
            "n_urls": self.n_urls,
            "n_to_request": n,
            "n_cached": self.n_cached,
            "n_gone": self.n_gone,
            "n_imported": self.n_imported,
            "hosts": hosts,
            "n_bytes": n_bytes,
            "n_rows_refused": self.n_rows_refused,
        }
        return Plan(cache_dir, lines, facts)
