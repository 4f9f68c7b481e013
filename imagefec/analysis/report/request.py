"""The arguments of a report, and the shell commands on its page."""

import os
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """The arguments of the report, for the commands on its page."""

    runs: tuple[str, ...]
    data_dir: str
    dataset: str
    split: str
    out: str
    annotations: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that makes the report."""
        runs = " ".join(map(quoted, self.runs))
        return f"imagefec report --runs {runs} {self.data} --out={quoted(self.out)}{self.known}"

    @property
    def known(self) -> str:
        """The flag of the annotations, with a space before it; "" without them."""
        files = " ".join(map(quoted, self.annotations))
        return f" --annotations {files}" if files else ""

    @property
    def data(self) -> str:
        """The flags of the split."""
        return (
            f"--data_dir={quoted(self.data_dir)} --dataset={quoted(self.dataset)} "
            f"--split={quoted(self.split)}"
        )

    def evaluate(self, run: os.PathLike[str], *more: str) -> str:
        """The command that evaluates a run."""
        return " ".join(["imagefec evaluate", f"--run={quoted(str(run))}", self.data, *more])


def quoted(text: str) -> str:
    """An argument as bash reads it, in one line of printable characters."""
    if text.isprintable():
        return shlex.quote(text)
    parts = []
    for char in text:
        if char.isprintable():
            parts.append(f"\\{char}" if char in "\\'" else char)
        else:
            errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
            parts += [f"\\x{byte:02x}" for byte in char.encode("utf-8", errors)]
    return f"$'{''.join(parts)}'"
