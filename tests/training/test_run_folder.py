"""A run's directory in use: one train at a time, a full disk, broken checkpoints, foreign files."""

import json
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import imagefec
from imagefec import cli
from imagefec.model import checkpoint
from imagefec.model.run import Run

ROOT = pathlib.Path(imagefec.__file__).parents[1]


def command(world, run_dir, *bindings):
    return [
        "train",
        "--config_file=smoke.gin",
        f"--output_dir={run_dir}",
        f"--data_dir={world.data_dir}",
        *(f"--config={binding}" for binding in bindings),
    ]


@pytest.fixture(scope="module")
def half(world, tmp_path_factory):
    """A run of 2 of its 4 steps."""
    run_dir = tmp_path_factory.mktemp("runs") / "half"
    assert cli.main(command(world, run_dir, "training.steps = 2")) == 0
    return run_dir


@pytest.fixture(scope="module")
def complete(world, half, tmp_path_factory):
    """The same run, resumed and ended."""
    run_dir = shutil.copytree(half, tmp_path_factory.mktemp("runs") / "complete")
    assert cli.main(command(world, run_dir)) == 0
    return run_dir


@pytest.fixture
def run_dir(half, tmp_path):
    return shutil.copytree(half, tmp_path / "run")


def refusal(capsys, world, run_dir, *bindings):
    assert cli.main(command(world, run_dir, *bindings)) == 2
    printed = capsys.readouterr()
    assert not printed.out and "Traceback" not in printed.err
    return printed.err.strip().splitlines()[-1]


def assert_equal_runs(first, second):
    for name in ("model.npz", "best.npz"):
        (expected, expected_meta), (found, meta) = (
            checkpoint.load(run / name) for run in (first, second)
        )
        assert found.keys() == expected.keys() and meta["step"] == expected_meta["step"]
        for array in expected:
            np.testing.assert_array_equal(found[array], expected[array], err_msg=array)
    history = Run.open(second).history["eval"]
    assert history["metrics/tpa"] == Run.open(first).history["eval"]["metrics/tpa"]


def test_a_second_train_in_one_directory_is_refused_until_the_first_is_killed(
    world, half, tmp_path, capsys
):
    run_dir = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, "-m", "imagefec", *command(world, run_dir, "training.steps = 100000")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while not (run_dir / "model.npz").is_file() and time.monotonic() < deadline:
            assert first.poll() is None
            time.sleep(0.05)
        before = (run_dir / "run.json").read_bytes()
        found = refusal(capsys, world, run_dir)
        assert f"{run_dir}: another train (process {first.pid}) is writing" in found
        assert "--output_dir" in found and (run_dir / "run.json").read_bytes() == before
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    shutil.copy(half / "model.npz", run_dir)
    for name in ("model.npz", "best.npz"):  # as a kill during a save leaves them
        (run_dir / f".{name}.{first.pid}-0a1b2c3d.tmp").write_bytes(b"half a checkpoint")
    assert cli.main(command(world, run_dir, "training.steps = 2")) == 0
    assert not list(run_dir.glob(".*.tmp")) and (run_dir / ".lock").read_bytes() == b""


@pytest.mark.skipif(os.name != "posix", reason="limits on the size of files are of POSIX")
@pytest.mark.parametrize("limit", [100, 30_000])  # no event fits; no checkpoint fits
def test_a_run_that_cannot_write_stops_and_goes_on_from_its_last_checkpoint(
    world, complete, run_dir, capsys, limit
):
    import resource

    before = {name: (run_dir / name).read_bytes() for name in ("model.npz", "best.npz")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        found = refusal(capsys, world, run_dir)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert str(run_dir) in found and "File too large" in found and "run the same command" in found
    assert {name: (run_dir / name).read_bytes() for name in before} == before
    assert cli.main(command(world, run_dir)) == 0
    assert_equal_runs(complete, run_dir)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB, which only root can mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder, left):
    """Fills a file system but for `left` bytes."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "ballast").write_bytes(bytes(free - left))


def test_a_run_on_a_full_disk_stops_and_goes_on_when_there_is_room(
    world, complete, half, small_disk, capsys
):
    run_dir = shutil.copytree(half, small_disk / "run")
    for left in (0, 40_000):  # no page for an event; not enough for a checkpoint
        fill(small_disk, left)
        found = refusal(capsys, world, run_dir)
        assert "No space left on device" in found and "run the same command" in found
        assert checkpoint.load_meta(run_dir / "model.npz")["step"] == 2
        (small_disk / "ballast").unlink()
    assert cli.main(command(world, run_dir)) == 0
    assert_equal_runs(complete, run_dir)


def test_a_report_and_a_gallery_on_a_full_disk_are_refused_and_leave_nothing_half_written(
    world, half, small_disk, capsys
):
    fill(small_disk, 8192)
    data = [f"--data_dir={world.data_dir}"]
    for verb in (
        ["gallery", f"--run={half}", f"--out={small_disk / 'out'}"],
        ["report", "--runs", f"{half}", f"--out={small_disk / 'out'}"],
    ):
        assert cli.main([*verb, *data]) == 2
        found = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"{small_disk / 'out'}" in found and "No space left on device" in found
    whole = {".gallery.lock", ".lock", ".gitignore"}
    assert {p.name for p in (small_disk / "out").rglob("*") if p.is_file()} <= whole
    (small_disk / "ballast").unlink()
    for verb in ("gallery", "report"):
        flag = ["--run", f"{half}"] if verb == "gallery" else ["--runs", f"{half}"]
        assert cli.main([verb, *flag, *data, f"--out={small_disk / 'out'}"]) == 0


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_a_pickle_in_a_run_directory_is_not_loaded(world, run_dir, tmp_path):
    canary = tmp_path / "canary"
    (run_dir / "data_counters0.pkl").write_bytes(pickle.dumps(Canary(canary)))
    assert cli.main(command(world, run_dir)) == 0
    assert not canary.exists()


def resave(run_dir, arrays=None, **meta):
    """Changes arrays or meta of model.npz."""
    own_arrays, own_meta = checkpoint.load(run_dir / "model.npz")
    checkpoint.save(run_dir / "model.npz", {**own_arrays, **(arrays or {})}, {**own_meta, **meta})


BROKEN = {
    "rng shape": ({"rng": np.zeros(3, np.uint32)}, {}, "array rng is of shape [3]"),
    "rng type": ({"rng": np.zeros(2, np.float32)}, {}, "array rng is of type float32"),
    "slot": ({"slots/9": np.zeros(2, np.float32)}, {}, "array slots/9 of shape [2] has no place"),
    "step": ({}, {"step": 10**9}, "step is 1000000000; it must be an integer, 0 to 100000000"),
    "negative step": ({}, {"step": -1}, "step is -1"),
    "fraction": ({}, {"step": 2.0}, "step is 2.0"),
    "earlier step": ({}, {"step": 1}, "is of step 1, but its history has step 2"),
    "history": ({}, {"history": {"eval": {}}}, "must have a step and a history"),
    "points": ({}, {"history": {"_values": {"eval": {"a": [1]}}}}, "a of the history must be"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_checkpoint_is_not_resumed(world, run_dir, capsys, what):
    arrays, meta, found = BROKEN[what]
    resave(run_dir, arrays, **meta)
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    text = refusal(capsys, world, run_dir)
    assert found in text and str(run_dir / "model.npz") in text
    assert {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()} == before


def test_weights_and_slots_that_are_not_finite_are_not_resumed_nor_a_start(
    world, run_dir, tmp_path, capsys
):
    arrays, _ = checkpoint.load(run_dir / "model.npz")
    for group in ("weights/", "slots/"):
        name = next(name for name in arrays if name.startswith(group))
        changed = arrays[name].copy()
        changed.reshape(-1)[0] = np.nan
        resave(run_dir, {name: changed})
        found = refusal(capsys, world, run_dir)
        assert f"hold NaN or infinity: {name} (1 of {changed.size} values)" in found
        binding = f"training.init_checkpoint = '{run_dir / 'model.npz'}'"
        assert name in refusal(capsys, world, tmp_path / "new", binding)
        checkpoint.save(run_dir / "model.npz", arrays, {"step": 2, "history": {"_values": {}}})


def test_a_broken_run_json_is_not_resumed_over(world, run_dir, capsys):
    (run_dir / "run.json").write_text("")
    assert "run.json: cannot be read (Expecting value" in refusal(capsys, world, run_dir)
    assert (run_dir / "run.json").read_text() == ""


def test_a_run_in_a_directory_whose_name_is_not_utf8_is_trained_and_resumed(
    world, complete, tmp_path
):
    run_dir = tmp_path / os.fsdecode(b"caf\xe9")
    assert cli.main(command(world, run_dir, "training.steps = 2")) == 0
    assert cli.main(command(world, run_dir)) == 0
    assert_equal_runs(complete, run_dir)
    assert list((run_dir / "train").glob("events.*")) and (run_dir / "config.gin").is_file()


def test_a_resumed_run_may_log_measures_that_it_did_not_have(world, run_dir):
    assert cli.main(command(world, run_dir, "uda_consistency.weight = 0.5")) == 0
    history = json.loads((run_dir / "history.json").read_text())["train"]
    assert [step for step, _ in history["training/uda"]] == [4]
