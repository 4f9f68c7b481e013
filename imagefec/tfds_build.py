"""Runs `tfds build` on the project's own `fec` builder, as a user would."""

import importlib.util
import pathlib
import re
import subprocess
import sys
from typing import Any

from imagefec.errors import UserError
from imagefec.progress import progress, say

# What TFDS prints while it writes a split, every second, and at its end.
_SO_FAR = re.compile(rb"Generating \w+ examples\.\.\.: +([0-9]+) examples")
_WRITTEN = re.compile(rb"<SplitInfo num_examples=([0-9]+),")


def build(manual_dir: pathlib.Path, data_dir: pathlib.Path, config: str = "triplets") -> None:
    """Builds a config in a subprocess, whose output is shown if it fails.

    Args:
      manual_dir: holds the csv files and the faces.
      data_dir: gets the dataset.
      config: what the dataset holds, one of the builder's configs.

    Raises:
      UserError: the build failed; the message ends with the last lines of its output.
    """
    spec = importlib.util.find_spec("tfds_builders.fec")
    if spec is None or spec.origin is None:
        raise UserError(
            "the TFDS builder of fec is not found. Run pip install -e . in the checkout."
        )
    folder = pathlib.Path(spec.origin).parent
    command = [
        sys.executable,
        "-c",
        "from imagefec.quiet import quiet_imports\nwith quiet_imports():\n"
        "  from tensorflow_datasets.scripts.cli.main import launch_cli\nlaunch_cli()",
        "build",
        str(folder),
        f"--config={config}",
        f"--manual_dir={manual_dir.resolve()}",
        f"--data_dir={data_dir.resolve()}",
    ]
    say("build", " ".join(["tfds", *command[3:]]))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with process:
        try:
            with progress("build", unit="examples") as bar:
                output = _followed(process.stdout, bar)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        end = output.decode(errors="replace")[-2000:]
        raise UserError(f"tfds build failed. The end of its output:\n{end}")


def _followed(stream: Any, bar: Any) -> bytes:
    """The output of `tfds build`; the bar follows the numbers of examples that it reports."""
    output, n_shown, n_before, n = b"", 0, 0, 0
    while read := stream.read1():
        output += read
        for found in map(int, _SO_FAR.findall(read)):
            n_before += n if found < n else 0  # the next split counts from 0
            n = found
            bar.update(n_before + n - n_shown)
            n_shown = n_before + n
    if written := _WRITTEN.findall(output):
        bar.update(sum(map(int, written)) - n_shown)
    return output
