"""Counts and durations of the service, in the text format that Prometheus reads.

Source: prometheus.io/docs/instrumenting/exposition_formats.
"""

import time
from collections import Counter

# Upper bounds of the buckets, seconds: the tone follows well up to 40 ms, and noticeably late
# beyond 120 ms (Mäki-Patola & Hämäläinen 2004).
BUCKETS_S = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 0.5, 1.0)
OUTCOMES = ("face", "no_face", "refused", "replaced")


class Metrics:
    """Counts since the start. All methods are called in the event loop's thread.

    Attributes:
      sockets: open websockets.
      frames: frames by outcome: a face, no face, refused (no picture, too large), replaced by a
        newer one before its turn.
      refusals: refused connections and requests, by status.
    """

    def __init__(self) -> None:
        self.sockets = 0
        self.frames: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.refusals: Counter[int] = Counter()
        self._started_s = time.monotonic()
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add_frame(self, outcome: str, took_s: float) -> None:
        """Counts a frame that was answered.

        Args:
          outcome: one of OUTCOMES.
          took_s: seconds from its arrival.
        """
        self.frames[outcome] += 1
        self._sum_s += took_s
        at = next((i for i, bound in enumerate(BUCKETS_S) if took_s <= bound), len(BUCKETS_S))
        self._buckets[at] += 1

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_s

    def text(self) -> str:
        """All values in Prometheus's format."""
        lines = ["# TYPE imagefec_frames_total counter"]
        lines += [
            f'imagefec_frames_total{{outcome="{name}"}} {n}' for name, n in self.frames.items()
        ]
        lines.append("# TYPE imagefec_refusals_total counter")
        lines += [
            f'imagefec_refusals_total{{status="{code}"}} {n}'
            for code, n in sorted(self.refusals.items())
        ]
        lines.append("# TYPE imagefec_frame_seconds histogram")
        total = 0
        for bound, n in zip((*map(str, BUCKETS_S), "+Inf"), self._buckets, strict=True):
            total += n
            lines.append(f'imagefec_frame_seconds_bucket{{le="{bound}"}} {total}')
        lines += [
            f"imagefec_frame_seconds_sum {self._sum_s:.6f}",
            f"imagefec_frame_seconds_count {total}",
            "# TYPE imagefec_sockets gauge",
            f"imagefec_sockets {self.sockets}",
            "# TYPE imagefec_uptime_seconds gauge",
            f"imagefec_uptime_seconds {self.uptime_s:.1f}",
        ]
        return "\n".join(lines) + "\n"
