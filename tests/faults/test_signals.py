"""Every verb stopped at a random instant: ctrl-C, ctrl-C twice, SIGTERM, SIGKILL, and two at once.

A seeded sample runs by default, more with `-m slow`.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.test_conditions import check_words, temporary_files
from tests.faults.verbs import ENVIRONMENT, VERBS, command, run_verb

SEED = int(os.environ.get("IMAGEFEC_FAULT_SEED", "0"))
SIGNALS = {
    "ctrl-C": ([signal.SIGINT], {130}),
    "ctrl-C_twice": ([signal.SIGINT, signal.SIGINT], {130, -signal.SIGINT}),
    "SIGTERM": ([signal.SIGTERM], {130, 143}),
    "SIGKILL": ([signal.SIGKILL], {-signal.SIGKILL}),
}
STOPPED = [(verb, name) for verb in VERBS for name in SIGNALS]
TWICE = [verb for verb in VERBS if verb.name in ("draw", "fetch", "crop", "train", "gallery")]


def _name(value):
    return getattr(value, "name", value)


@pytest.mark.parametrize(("verb", "name"), random.Random(SEED).sample(STOPPED, 2), ids=_name)
def test_a_sample_of_stopped_verbs_completes(verb, name, inputs, undisturbed, tmp_path):
    check_stopped(verb, name, inputs, undisturbed, tmp_path, SEED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED + 1, SEED + 2, SEED + 3])
@pytest.mark.parametrize(("verb", "name"), STOPPED, ids=_name)
def test_a_stopped_verb_completes(verb, name, seed, inputs, undisturbed, tmp_path):
    check_stopped(verb, name, inputs, undisturbed, tmp_path, seed)


def check_stopped(verb, name, inputs, undisturbed, folder, seed):
    """Stops a verb at a random instant, checks what it says, and completes it."""
    expected, out = undisturbed(verb), folder / "out"
    numbers, codes = SIGNALS[name]
    delay_s = random.Random(f"{verb.name} {name} {seed}").uniform(0.3, 12 if verb.is_long else 4)
    # In a session of its own: a terminal sends ctrl-C to all processes of the command.
    process = subprocess.Popen(
        [sys.executable, "-m", "imagefec", *command(verb, inputs, out)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + delay_s
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    for number in numbers:
        if process.poll() is None:
            send = os.killpg if number == signal.SIGINT else os.kill
            send(process.pid, number)
            time.sleep(0.05)
    stdout, stderr = process.communicate(timeout=120)
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if not stderr:  # Python was still starting, and has no handlers yet
        codes = {*codes, *(-number for number in numbers)}
    assert done.returncode in {0, *codes}, f"after {delay_s:.2f} s: {stderr}"
    check_words(verb, done)
    if name in ("ctrl-C", "SIGTERM"):
        assert not temporary_files(folder)
    assert not _orphans(process.pid)
    again = run_verb(command(verb, inputs, out))
    assert again.returncode == 0, again.stderr
    assert verb.digests(out, again.stdout) == expected
    assert not temporary_files(folder)


def _orphans(session):
    """Processes of a session that are still alive after a few seconds."""
    import psutil

    alive = []
    for _ in range(50):
        alive = [
            process
            for process in psutil.process_iter()
            if _session_of(process.pid) == session and process.status() != "zombie"
        ]
        if not alive:
            break
        time.sleep(0.1)
    return alive


def _session_of(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return None


@pytest.mark.parametrize("verb", TWICE[:1], ids=_name)
def test_a_second_process_is_refused_and_harms_nothing(verb, inputs, undisturbed, tmp_path):
    check_two(verb, inputs, undisturbed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("verb", TWICE, ids=_name)
def test_every_second_process_is_refused_and_harms_nothing(verb, inputs, undisturbed, tmp_path):
    check_two(verb, inputs, undisturbed, tmp_path)


def check_two(verb, inputs, undisturbed, folder):
    """Starts a verb twice on one folder; the second names the first, or comes after it."""
    expected, out = undisturbed(verb), folder / "out"
    arguments = [sys.executable, "-m", "imagefec", *command(verb, inputs, out)]
    processes = [
        subprocess.Popen(
            arguments,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes and set(codes) <= {0, 2}, said
    if 2 in codes:
        first = processes[codes.index(0)].pid
        assert f"(process {first})" in said[codes.index(2)]
    assert verb.digests(out, "") == expected
