"""Every verb under every hostile condition: its exit code, one sentence, and the rerun's bytes.

A seeded sample runs by default, all pairs with `-m slow`.
"""

import contextlib
import dataclasses
import os
import random
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.verbs import ENVIRONMENT, VERBS, command, run_verb

OK, REFUSED, CLOSED_PIPE = 0, 2, 141


@dataclasses.dataclass(frozen=True)
class Condition:
    """How a verb is run.

    Attributes:
      name: of the condition.
      codes: the exit codes that are allowed; after any other than 0 the verb must complete when it
        is run again without the condition.
      environment: variables; None removes one.
      shell: a bash command in which "$@" stands for the verb.
      out: name of the path that the verb writes to.
      prepare: called with the folder that the path is in.
    """

    name: str
    codes: tuple[int, ...] = (OK,)
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)
    shell: str = '"$@"'
    out: str = "out"
    prepare: Callable[[Path], None] | None = None


def _file_in_the_way(folder):
    (folder / "file").touch()


CONDITIONS = (
    Condition("no HOME", environment={"HOME": None}),
    Condition("HOME that cannot be made", environment={"HOME": "/proc/none"}),
    Condition("no TMPDIR", environment={"TMPDIR": "/nonexistent"}),
    Condition("ascii locale", environment={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}),
    Condition("terminal of another encoding", environment={"PYTHONIOENCODING": "ascii"}),
    Condition("stderr closed", shell='"$@" 2>&-'),
    Condition("stdout closed", shell='"$@" >&-'),
    Condition("all streams closed", shell='"$@" <&- >&- 2>&-'),
    Condition("broken pipe", (OK, CLOSED_PIPE), shell='set -o pipefail; "$@" | true'),
    Condition("stdout full", (OK, REFUSED), shell='"$@" > /dev/full'),
    Condition("few open files", (OK, REFUSED), shell='ulimit -n 64; "$@"'),
    Condition("files of 20 kB at most", (OK, REFUSED), shell='ulimit -f 20; "$@"'),
    Condition("a file in the way", (REFUSED,), out="file/out", prepare=_file_in_the_way),
    Condition("a folder that cannot be made", (REFUSED,), out="/proc/none/out"),
    Condition("spaces, quotes and brackets", out="a 'b' [c] {d} *?%20#"),
    Condition("composed accents", out=unicodedata.normalize("NFC", "größer é")),
    Condition("decomposed accents", out=unicodedata.normalize("NFD", "größer é")),
    Condition("a line break", out="a\nb"),
    Condition("a name that is not UTF-8", out=os.fsdecode(b"a\xffb")),
    Condition("an ascii locale and accents", environment={"LC_ALL": "C"}, out="größer"),
    Condition("a tilde in a name", out="~a/~"),
    Condition("a deep folder", out="/".join(["folder"] * 20)),
)
# Verbs that write nothing do not notice what is wrong with a folder.
WRITES_NOTHING = ("doctor", "evaluate")
PAIRS = [(verb, condition) for verb in VERBS for condition in CONDITIONS]
SAMPLE = random.Random(int(os.environ.get("IMAGEFEC_FAULT_SEED", "0"))).sample(PAIRS, 3)


def _name(value):
    return value.name.replace(" ", "_")


@pytest.mark.parametrize(("verb", "condition"), SAMPLE, ids=_name)
def test_a_sample_of_verbs_keeps_its_promise(verb, condition, inputs, undisturbed, tmp_path):
    check(verb, condition, inputs, undisturbed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "condition"), PAIRS, ids=_name)
def test_every_verb_keeps_its_promise(verb, condition, inputs, undisturbed, tmp_path):
    check(verb, condition, inputs, undisturbed, tmp_path)


def check(verb, condition, inputs, undisturbed, folder):
    """Runs a verb under a condition, checks what it promises, and completes it."""
    expected = undisturbed(verb)
    if condition.prepare:
        condition.prepare(folder)
    out = folder / condition.out
    done = _run(command(verb, inputs, out), condition, folder)
    writes = verb.name not in WRITES_NOTHING
    codes = condition.codes if writes else {OK, *set(condition.codes) - {REFUSED}}
    if condition.name in ("files of 20 kB at most", "few open files", "stdout full"):
        codes = condition.codes
    assert done.returncode in codes, done.stderr
    check_words(verb, done)
    if (
        done.returncode == OK
        and ">&-" not in condition.shell
        and "/dev/full" not in condition.shell
    ):
        assert verb.digests(out, done.stdout) == expected
        return
    assert not temporary_files(folder)
    if REFUSED in condition.codes and OK not in condition.codes:
        return  # the path itself is wrong
    again = run_verb(command(verb, inputs, out), cwd=folder)
    assert again.returncode == OK, again.stderr
    assert verb.digests(out, again.stdout) == expected


def _run(arguments, condition, folder):
    environment = {**ENVIRONMENT, **condition.environment}
    return subprocess.run(
        ["bash", "-c", condition.shell, "bash", sys.executable, "-m", "imagefec", *arguments],
        env={name: value for name, value in environment.items() if value is not None},
        cwd=folder,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=300,
    )


def check_words(verb, done):
    """No traceback; after a refusal the last line is a sentence of the verb."""
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode == REFUSED and done.stderr:
        sentences = re.findall(rf"^(?:imagefec {verb.name}:|.*error: ).+", done.stderr, re.M)
        assert sentences, done.stderr


def temporary_files(folder):
    """Files and folders that were not completed."""
    return [
        path
        for path in folder.rglob("*")
        if path.name.endswith((".tmp", ".part")) or path.name.startswith("incomplete.")
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.slow
@pytest.mark.parametrize("verb", [v for v in VERBS if v.name not in WRITES_NOTHING], ids=_name)
@pytest.mark.parametrize("kb", [8, 100, 600])
def test_a_verb_completes_when_a_full_disk_has_room_again(verb, kb, inputs, undisturbed, tmp_path):
    expected, disk = undisturbed(verb), tmp_path / "disk"
    with small_disk(disk, kb):
        out = disk / "out"
        done = run_verb(command(verb, inputs, out))
        assert done.returncode in (OK, REFUSED), done.stderr
        check_words(verb, done)
        subprocess.run(["mount", "-o", "remount,size=400m", disk], check=True)
        again = run_verb(command(verb, inputs, out))
        assert again.returncode == OK, again.stderr
        assert verb.digests(out, again.stdout) == expected
        assert not temporary_files(disk)


@contextlib.contextmanager
def small_disk(folder, kb):
    """Mounts a file system of a size in kB."""
    folder.mkdir()
    size = f"size={kb}k"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
