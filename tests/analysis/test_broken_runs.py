"""Broken and hostile runs: each verb that reads runs says what is the matter and exits with 2."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from imagefec import cli
from imagefec.model import checkpoint


def verbs(folder, data_dir, out):
    """The command line of each verb that reads a run."""
    data = [f"--data_dir={data_dir}", "--split=train"]
    return {
        "evaluate": ["evaluate", f"--run={folder}", *data, "--json"],
        "gallery": ["gallery", f"--run={folder}", *data, f"--out={out / 'gallery'}", "--k=2"],
        "report": ["report", "--runs", f"{folder}", *data, f"--out={out / 'report'}"],
        "embed": ["embed", f"--run={folder}", f"{out / 'face.png'}", f"--out={out / 'v.npz'}"],
    }


def change_json(name, **changes):
    def change(folder):
        path = folder / name
        value = json.loads(path.read_text()) if path.exists() else {}
        value["model"] = {**value.get("model", {}), **changes.pop("model", {})}
        path.write_text(json.dumps({**value, **changes}))

    return change


def change_arrays(**options):
    def change(folder):
        arrays, meta = checkpoint.load(folder / "best.npz")
        name = next(iter(arrays))
        if "value" in options:
            arrays[name].reshape(-1)[1] = options["value"]
        if "dtype" in options:
            arrays[name] = arrays[name].astype(options["dtype"])
        checkpoint.save(folder / "best.npz", arrays, options.get("meta", meta))

    return change


def compress(folder):
    with zipfile.ZipFile(folder / "best.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "best.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


CHANGES = {
    "NaN": (change_arrays(value=np.nan), "1 of 34 arrays hold NaN or infinity: weights/"),
    "infinity": (change_arrays(value=-np.inf), "arrays hold NaN or infinity"),
    "integers": (change_arrays(dtype=np.int32), "is of type int32; the model requires float32"),
    "step": (change_arrays(meta={"step": 10**9}), "step is 1000000000; it must be an integer"),
    "step text": (change_arrays(meta={"step": "x"}), 'step is "x"; it must be an integer'),
    "compressed": (compress, "is compressed or encrypted"),
    "width": (change_json("run.json", model={"d_hidden": 10**9}), "model.d_hidden is 1000000000"),
    "other width": (change_json("run.json", model={"d_hidden": 8}), "the model requires shape"),
    "depth": (change_json("run.json", model={"stage_blocks": [10**9]}), "model.stage_blocks is"),
    "unknown": (change_json("run.json", model={"depth": 3}), "fit no model of this version"),
    "image size": (change_json("run.json", image_size=True), "image_size is true"),
    "other image size": (change_json("run.json", image_size=33), "the model requires shape"),
}


@pytest.fixture
def folder(run, tmp_path):
    Image.new("RGB", (128, 128)).save(tmp_path / "face.png")
    return shutil.copytree(run, tmp_path / "run")


@pytest.mark.parametrize("what", CHANGES)
def test_a_broken_run_is_refused_by_every_verb_in_one_sentence(
    folder, data_dir, tmp_path, capsys, what
):
    change, found = CHANGES[what]
    change(folder)
    for verb, command in verbs(folder, data_dir, tmp_path).items():
        assert cli.main(command) == 2, (what, verb)
        printed = capsys.readouterr()
        assert not printed.out and found in printed.err
        last = printed.err.strip().splitlines()[-1]
        assert last.startswith(f"imagefec {verb}: {folder}/") and "Traceback" not in printed.err
    assert not (tmp_path / "v.npz").exists()
    assert not list(tmp_path.rglob("gallery.*")) and not list(tmp_path.rglob("report.*"))


def test_a_broken_history_or_setting_is_refused_by_the_report(folder, data_dir, tmp_path, capsys):
    command = verbs(folder, data_dir, tmp_path)["report"]
    for name, text, found in (
        ("history.json", "[]", "history.json: cannot be read (not an object"),
        ("history.json", '{"eval": {"metrics/tpa": [1]}}', "must be a list of [step, value]"),
        ("settings.json", '{"Augment.crop": 7}', "settings.json: Augment.crop is 7"),
        ("settings.json", '{"a": 1, "a": 2}', 'key "a" is there twice'),
    ):
        (folder / name).write_text(text)
        assert cli.main(command) == 2
        assert found in capsys.readouterr().err
        (folder / name).unlink()


def test_a_run_of_an_earlier_version_is_evaluated_as_before(
    run, folder, data_dir, tmp_path, capsys
):
    command = verbs(run, data_dir, tmp_path)["evaluate"]
    assert cli.main(command) == 0
    expected = json.loads(capsys.readouterr().out)
    arrays, meta = checkpoint.load(folder / "best.npz")
    (folder / "best.npz").unlink()
    extra = {"slots/0": np.ones(3, np.float32), "rng": np.zeros(2, np.uint32)}
    checkpoint.save(folder / "model.npz", {**arrays, **extra}, {**meta, "history": {"_values": {}}})
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(
        json.dumps({**info, "batch_triplets": 4, "eval_split": "test"})
    )
    assert cli.main(verbs(folder, data_dir, tmp_path)["evaluate"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "has no best.npz, so its model.npz is used" in found["warning"]
    assert found | {"warning": ""} == {**expected, "run": str(folder), "warning": ""}
    assert found["step"] == 12


def test_empty_parts_of_a_split_and_unknown_ones_are_refused(run, data_dir, tmp_path, capsys):
    for split, found in (
        ("train[2:1]", "'train[2:1]' is empty"),
        ("train[:0]", "is empty"),
        ("train[", "no split 'train['"),
        ("nosuch", "no split 'nosuch'"),
    ):
        for verb in ("evaluate", "gallery", "report"):
            command = verbs(run, data_dir, tmp_path)[verb]
            assert cli.main([*command, f"--split={split}"]) == 2
            assert found in capsys.readouterr().err


def test_numbers_that_a_gallery_cannot_use_are_refused(run, data_dir, tmp_path, capsys):
    command = verbs(run, data_dir, tmp_path)["gallery"]
    for flag, found in (
        ("--k=0", "k = 0 neighbours: it must be 1 to 8"),
        ("--k=-1", "k = -1 neighbours"),
        ("--k=1000000000", "k = 1000000000 neighbours"),
        ("--queries=0", "queries = 0: it must be 1 or more"),
        ("--queries=-3", "queries = -3"),
        ("--max_distance=nan", "max_distance = nan: it must be 0 or more"),
        ("--max_distance=-1", "max_distance = -1.0"),
    ):
        assert cli.main([*command, flag]) == 2
        assert found in capsys.readouterr().err
    assert not (tmp_path / "gallery" / "gallery.png").exists()
    assert cli.main([*command, "--max_distance=inf", "--queries=1000000000"]) == 0
    page = (tmp_path / "gallery" / "gallery.html").read_text()
    assert page.count("<section") == 9 and "2 nearest</p>" in page  # all faces, no limit named


def test_a_run_compared_with_itself_differs_by_0(run, data_dir, tmp_path, capsys):
    command = verbs(run, data_dir, tmp_path)["evaluate"]
    assert cli.main([*command, f"--against={run}"]) == 0
    found = json.loads(capsys.readouterr().out)["against"]
    assert (found["difference"], found["low"], found["high"]) == (0, 0, 0)
    assert found["p_not_higher"] == 1


def test_a_run_given_twice_under_any_name_is_refused_by_the_report(
    run, folder, data_dir, tmp_path, capsys
):
    (tmp_path / "link").symlink_to(run)
    for other, found in (
        (f"{run}/.", "the same run as"),
        (tmp_path / "link", "the same run as"),
        (folder, "best.npz: a copy of"),
    ):
        command = ["report", "--runs", f"{run}", f"{other}", f"--data_dir={data_dir}"]
        assert cli.main([*command, "--split=train", f"--out={tmp_path / 'out'}"]) == 2
        assert found in capsys.readouterr().err
    change_json("run.json", dataset="other")(folder)
    change_arrays(value=0.5)(folder)
    command = ["report", "--runs", f"{run}", f"{folder}", f"--data_dir={data_dir}"]
    assert cli.main([*command, f"--out={tmp_path / 'out'}"]) == 2
    assert "its dataset is other, but that of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_repeated_with_the_same_seed_is_refused_by_the_report(
    run, folder, data_dir, tmp_path, capsys
):
    arrays, meta = checkpoint.load(folder / "best.npz")
    checkpoint.save(folder / "best.npz", arrays, {**meta, "seconds": 12.5})  # as if timed again
    assert (folder / "best.npz").read_bytes() != (run / "best.npz").read_bytes()
    command = ["report", "--runs", f"{run}", f"{folder}", f"--data_dir={data_dir}"]
    assert cli.main([*command, "--split=train", f"--out={tmp_path / 'out'}"]) == 2
    assert "the same run with the same seed: their weights are equal" in capsys.readouterr().err
