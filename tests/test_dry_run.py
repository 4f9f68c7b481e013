"""--dry_run: what it says is what the command then does, and it leaves no trace."""

import json
import os
import pathlib

import pytest

from imagefec import cli
from imagefec.fec import SPLITS, csv_file_name
from imagefec.files import check_folder
from imagefec.plan import shown_bytes
from tests.data.labels.conftest import Photos
from tests.serving.judging.photos import write_photos


def traces(*folders):
    """All that a command might change: names, kinds, times, sizes and contents."""
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_ino, path.is_file() and path.read_bytes())
        for folder in folders
        for path in (folder, *sorted(folder.rglob("*")))
    }


@pytest.fixture
def planned(world, tmp_path, capsys):
    """Runs a verb with --dry_run, as text and if possible as JSON, and compares all folders."""
    watched = [tmp_path, world.manual_dir.parent]

    def run(*argv):
        before = traces(*watched)
        arguments = [str(word) for word in argv]
        assert cli.main([*arguments, "--dry_run"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-2] == "dry run   nothing was written"
        if argv[0] not in ("draw", "train"):
            assert cli.main([*arguments, "--dry_run", "--json"]) == 0
            lines.append(json.loads(capsys.readouterr().out))
            assert lines[-1]["dry_run"] is True and lines[-1]["path"] == lines[-2]
        assert traces(*watched) == before
        return lines

    return run


def done(capsys, *argv):
    assert cli.main([str(word) for word in argv]) == 0
    return capsys.readouterr().out.splitlines()


def test_draw_says_how_many_photos_of_what_size_it_would_render(planned, tmp_path, capsys):
    out = tmp_path / "new" / "world"
    argv = ("draw", out, "--faces=450", "--identities=12", "--triplets=30")
    lines = planned(*argv)
    assert lines[-1] == str(out) and not out.parent.exists()
    done(capsys, *argv)
    photos = list((out / "images").rglob("*.jpg"))
    size = sum(path.stat().st_size for path in photos)
    number, said = lines[0].removeprefix("photos     ").split(" would be rendered, about ")
    assert int(number) == len(photos)
    assert 0.7 < float(said.removesuffix(" MB")) * 1e6 / size < 1.4
    planned(*argv)  # a finished folder
    assert cli.main([*map(str, argv), "--seed=1", "--dry_run"]) == 2
    assert "two sets of photos must not be mixed" in capsys.readouterr().err


def test_fetch_and_crop_count_what_is_left_to_do(planned, world, tmp_path, capsys):
    train, test = world.csv_paths
    cache, faces = tmp_path / "cache", tmp_path / "faces"
    fetch = ("fetch", train, test, f"--cache={cache}")
    plan = planned(*fetch)[-1]
    assert not cache.exists() and plan["n_cached"] == 0 and plan["n_bytes"] is None
    done(capsys, "fetch", test, f"--cache={cache}")
    left = planned(*fetch)[-1]
    of_test = json.loads((cache / "stats.json").read_text())
    assert left["n_cached"] == of_test["n_ok"] > 0
    assert left["hosts"] == {"file": left["n_to_request"]}
    assert left["n_to_request"] == plan["n_to_request"] - of_test["n_ok"] > 0

    crop = ("crop", train, test, f"--cache={cache}", f"--faces={faces}", "--detector=none")
    plan = planned(*crop)[-1]
    assert not faces.exists() and plan["n_done"] == 0
    assert plan["n_to_crop"] + plan["n_not_fetched"] == plan["n_faces"]
    made = json.loads(done(capsys, *crop, "--json")[0])
    assert made["n_kept"] == plan["n_to_crop"] and made["n_faces"] == plan["n_faces"]
    assert sum(path.stat().st_size for path in faces.glob("*/*.png")) <= plan["n_bytes"]
    face = next(faces.glob("*/*.png")).stem
    (tmp_path / "exclude.txt").write_text(f"{face}\n")
    again = planned(*crop, f"--exclude={tmp_path / 'exclude.txt'}")[-1]
    assert (again["n_excluded"], again["n_to_delete"], again["n_to_crop"]) == (1, 1, 0)
    assert again["n_done"] == plan["n_to_crop"] - 1


def test_fetch_counts_the_photos_that_a_folder_has(planned, world, tmp_path):
    photos = world.manual_dir / "images" / "test"
    plan = planned("fetch", world.csv_paths[1], f"--cache={tmp_path / 'c'}", f"--from_dir={photos}")
    assert plan[-1]["n_imported"] == plan[-1]["n_urls"] and plan[-1]["n_to_request"] == 0


def test_train_opens_the_datasets_and_makes_no_run(planned, world, tmp_path, capsys):
    argv = ["train", "--config_file=smoke.gin", f"--output_dir={tmp_path / 'runs' / 'a'}"]
    lines = planned(*argv, f"--data_dir={world.data_dir}")
    assert (
        lines[0].startswith("steps      4 of 4 would be done") and not (tmp_path / "runs").exists()
    )
    wrong = (["--config=training.batch_triplets = 0"], ["--config=training.eval_split = 'none'"])
    for binding in wrong:
        assert cli.main([*argv, f"--data_dir={world.data_dir}", *binding, "--dry_run"]) == 2
    assert "no split 'none'" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_quickstart_names_its_stages(planned, tmp_path):
    plan = planned("quickstart", f"--output_dir={tmp_path / 'q'}")
    assert "would be rendered" in plan[0]
    assert plan[-1]["found"] == [] and plan[-1]["steps"] > 1000 and list(tmp_path.iterdir()) == []
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "summary.json").touch()
    assert planned("quickstart", f"--output_dir={tmp_path / 'q'}")[-1]["found"] == ["gallery"]
    (tmp_path / "q" / "fec").mkdir()
    for split in SPLITS:
        (tmp_path / "q" / "fec" / csv_file_name(split)).touch()
    plan = planned("quickstart", f"--output_dir={tmp_path / 'q'}")
    assert plan[-1]["found"] == ["draw", "gallery"] and "rendered" not in "".join(plan[:-1])


@pytest.mark.parametrize("folds", [[], ["--folds=2"]])
def test_triplets_and_split_report_what_they_would_write(folds, planned, world, tmp_path, capsys):
    source = Photos(tmp_path / "photos").labelled({"joy": 40, "fear": 40})
    for argv in (
        ("triplets", source, f"--out={tmp_path / 'own'}", *folds),
        ("split", world.csv_paths[0], f"--out={tmp_path / 'parted'}", "--share=0.3", *folds),
    ):
        plan = planned(*argv)[-1]
        made = json.loads(done(capsys, *argv, "--json")[0])
        out = argv[2].removeprefix("--out=")
        assert plan == {"dry_run": True, "path": out, **made} and any(pathlib.Path(out).iterdir())


def test_judge_counts_the_triplets_of_an_export(planned, tmp_path, capsys):
    photos = write_photos(tmp_path / "photos")
    out = tmp_path / "judged"
    argv = ("judge", photos, f"--out={out}", "--export")
    assert cli.main([*map(str, argv), "--dry_run"]) == 2
    assert "has no answers" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_folder_that_cannot_be_made_is_refused(place, planned, world, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / ("file" if place == "a file" else "file/below")
    before = traces(tmp_path)
    csv = str(world.csv_paths[0])
    for argv in (
        ["draw", str(out)],
        ["fetch", csv, f"--cache={out}"],
        ["crop", csv, f"--cache={world.cache_dir}", f"--faces={out}", "--detector=none"],
        ["split", csv, f"--out={out}"],
        ["quickstart", f"--output_dir={out}"],
        ["train", "--config_file=smoke.gin", f"--output_dir={out}", f"--data_dir={world.data_dir}"],
    ):
        assert cli.main([*argv, "--dry_run"]) == 2
        assert "this is a file, not a folder" in capsys.readouterr().err, argv
    assert traces(tmp_path) == before


def test_the_nearest_folder_that_exists_must_be_writable(tmp_path, monkeypatch):
    check_folder(tmp_path / "new" / "newer")
    # Root may write everywhere, so the answer of the system is replaced.
    monkeypatch.setattr(os, "access", lambda place, mode: pathlib.Path(place) != tmp_path)
    with pytest.raises(PermissionError) as refused:
        check_folder(tmp_path / "new" / "newer")
    assert refused.value.filename == str(tmp_path)


def test_sizes_are_shown_in_the_largest_unit_that_leaves_a_digit():
    assert shown_bytes(0) == "0 kB" and shown_bytes(999_499) == "999 kB"
    assert shown_bytes(1e6) == "1.0 MB" and shown_bytes(12_345_678_901) == "12 GB"
