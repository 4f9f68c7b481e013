"""Folds: each photo and person is tested once, and no fold trains on what it tests."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec import cli
from imagefec.data.fec_csv import read_rows
from imagefec.data.fec_manual_dir import find_manual_files
from imagefec.data.parting.folds import assign_folds, describe, split_into_folds
from imagefec.data.parting.holdout import split_csv
from imagefec.errors import UserError
from imagefec.fec import SPLITS, csv_file_name
from tests.data.parting.conftest import islands, row


def random_rows(n, n_photos):
    rng = np.random.default_rng(0)
    return [row(*rng.choice(n_photos, 3, replace=False)) for _ in range(n)]


def names(one):
    return tuple(face.url.split("/")[-1] for face in one.faces)


def rows_of(fold, split):
    return [names(one) for one in read_rows(fold / csv_file_name(split))]


def photos_of(rows):
    return {photo for one in rows for photo in one}


def test_every_triplet_of_islands_is_tested_once_and_none_is_lost(written, tmp_path):
    rows = islands(30)
    out = tmp_path / "out"
    report = split_into_folds([written(rows[:80]), written(rows[80:], "test")], out, 5)
    tested = [one for fold in range(5) for one in rows_of(out / f"fold{fold}", "test")]
    assert sorted(tested) == sorted(map(names, rows)) and report["n_tested"] == 120
    for fold in report["each"]:
        assert fold["n_dropped"] == 0 and fold["splits"]["test"]["n_photos"] == 24


def test_no_fold_shares_a_photo_between_splits_and_what_is_lost_is_counted(written, tmp_path):
    out = tmp_path / "out"
    report = split_into_folds([written(random_rows(600, 60))], out, 3, share=0.2)
    tested = []
    for number, fold in enumerate(report["each"]):
        rows = {split: rows_of(out / f"fold{number}", split) for split in SPLITS}
        photos = [photos_of(of) for of in rows.values()]
        assert sum(map(len, photos)) == len(set.union(*photos))
        assert all(rows.values()) and fold["n_dropped"] == 600 - sum(map(len, rows.values()))
        tested.append(photos_of(rows["test"]))
    assert sum(map(len, tested)) == len(set.union(*tested))
    at_random = 3 * 600 / 27  # rows with all three of 60 photos in one of three folds
    assert report["n_tested"] > 1.3 * at_random


def test_persons_are_tested_in_one_fold_and_are_carried_along(written, tmp_path):
    train = written(islands(20))
    owners = {f"http://h/{i}-{n}.jpg": f"p{i // 2}" for i in range(20) for n in range(4)}
    text = "url,person\n" + "".join(f"{url},{who}\n" for url, who in owners.items())
    (train.parent / "persons.csv").write_text(text)
    (train.parent / "expressions.csv").write_text("url,left,right,top,bottom,expression\n")
    (train.parent / "exclude.txt").write_text("http://h/none.jpg\n")
    out = tmp_path / "out"
    report = split_into_folds([train], out, 5)
    assert (report["parted_by"], report["n_units"]) == ("persons", 10)
    tested = []
    for number in range(5):
        fold = out / f"fold{number}"
        rows = {split: rows_of(fold, split) for split in SPLITS}
        who = {
            split: {owners[f"http://h/{p}"] for p in photos_of(of)} for split, of in rows.items()
        }
        assert sum(map(len, who.values())) == len(set.union(*who.values())) == 10
        tested += who["test"]
        assert (fold / "persons.csv").read_text() == text
        assert (fold / "expressions.csv").is_file() and (fold / "exclude.txt").is_file()
    assert sorted(tested) == sorted(set(owners.values()))


def test_persons_who_share_a_photo_are_not_joined_for_good(written, tmp_path):
    train = written(islands(20))
    owners = {f"http://h/{i}-{n}.jpg": [f"p{i // 2}"] for i in range(20) for n in range(4)}
    for i in range(0, 18, 2):  # a photo of two persons for each pair of neighbours
        owners[f"http://h/{i}-0.jpg"].append(f"p{i // 2 + 1}")
    text = "url,person\n" + "".join(f"{url},{p}\n" for url, who in owners.items() for p in who)
    (train.parent / "persons.csv").write_text(text)
    report = split_into_folds([train], tmp_path / "out", 5)
    assert report["n_units"] == 10 and report["n_tested"] >= 40
    for number in range(5):
        fold = tmp_path / "out" / f"fold{number}"
        who = [
            {
                person
                for photo in photos_of(rows_of(fold, split))
                for person in owners[f"http://h/{photo}"]
            }
            for split in SPLITS
        ]
        assert sum(map(len, who)) == len(set.union(*who))


def test_the_folds_are_manual_directories_of_one_folder_of_faces(written, tmp_path):
    train, out = written(islands(9)), tmp_path / "out"
    split_into_folds([train], out, 3)
    assert (out / "fold1" / "faces").readlink() == Path("../faces")  # cropped later
    (train.parent / "faces").mkdir()
    (train.parent / "faces" / "faces.csv").write_text("")
    split_into_folds([train], out, 3)
    for number in range(3):
        found = find_manual_files(out / f"fold{number}")
        assert set(found.csv_paths) == set(SPLITS)
        assert found.faces_dir.resolve() == (train.parent / "faces").resolve()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(written, tmp_path):
    path = written(random_rows(600, 60))

    def contents(name, seed):
        split_into_folds([path], tmp_path / name, 3, share=0.2, seed=seed)
        return [
            (tmp_path / name / f"fold{fold}" / csv_file_name(split)).read_bytes()
            for fold in range(3)
            for split in SPLITS
        ]

    assert contents("a", 0) == contents("b", 0) != contents("c", 1)


def test_a_folder_of_folds_takes_one_call_again_and_no_other(written, tmp_path):
    train, out = written(islands(12)), tmp_path / "out"

    def contents():
        return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    split_into_folds([train], out, 3)
    before = contents()
    (out / "fold1" / csv_file_name("test")).unlink()  # as after a kill
    split_into_folds([train], out, 3)
    assert contents() == before
    for change, said in (
        ({"n_folds": 4}, "made with folds 3; now with folds 4"),
        ({"seed": 1}, "made with seed 0; now with seed 1"),
    ):
        with pytest.raises(UserError, match=said):
            split_into_folds(**{"csv_paths": [train], "out": out, "n_folds": 3, **change})
    with pytest.raises(UserError, match="made with source_sha256"):
        split_into_folds([written(islands(13))], out, 3)
    with pytest.raises(UserError, match="fold0: of an earlier call with --folds"):
        split_csv([train], out)
    assert contents() == before


def test_folds_are_not_mixed_with_a_split_or_with_files_of_others(written, tmp_path):
    train = written(islands(12))
    split_csv([train], tmp_path / "one", share=0.2)
    with pytest.raises(UserError, match="made with folds None; now with folds 3"):
        split_into_folds([train], tmp_path / "one", 3)
    (tmp_path / "own" / "fold1").mkdir(parents=True)
    (tmp_path / "own" / "fold1" / csv_file_name("train")).write_text("mine")
    with pytest.raises(UserError, match=r"it holds fold1/.*-train-public.csv, and no split.json"):
        split_into_folds([train], tmp_path / "own", 3)
    assert not (tmp_path / "own" / "fold0").exists()


def test_a_persons_csv_of_other_photos_is_refused_and_missing_persons_counted(written, tmp_path):
    train = written(islands(12))
    persons = train.parent / "persons.csv"
    persons.write_text("url,person\nhttp://moved/0-0.jpg,p\n")
    with pytest.raises(UserError, match=r"persons.csv: none of the 48 photos is in it"):
        split_into_folds([train], tmp_path / "out", 3)
    persons.write_text("url,person\nhttp://h/0-0.jpg,p\nhttp://h/0-1.jpg,p\n")
    report = split_into_folds([train], tmp_path / "out", 3)
    assert (report["n_photos_without_person"], report["n_units"]) == (46, 47)
    assert "persons    not known of 46 of 48 photos" in describe(report)


def test_a_full_disk_leaves_no_csv_file(written, tmp_path, full_disk):
    train, out = written(islands(12)), tmp_path / "out"
    for n_files in range(7):  # of two folds, and split.json
        with full_disk(n_files), pytest.raises(UserError, match="a disk with free space"):
            split_into_folds([train], out, 2)
        assert {path.name for path in out.rglob("*")} <= {"fold0", "fold1", "faces", "split.lock"}
    split_into_folds([train], out, 2)


@given(
    st.lists(st.lists(st.integers(0, 11), min_size=3, max_size=3), min_size=1, max_size=25),
    st.lists(st.integers(1, 9), min_size=12, max_size=12),
    st.integers(2, 4),
    st.integers(0, 3),
)
def test_every_unit_has_a_fold_and_folds_are_about_equal(rows, weights, n_folds, seed):
    units = np.unique(np.array(rows), return_inverse=True)[1].reshape(len(rows), 3)
    weights = np.array(weights[: units.max() + 1])
    fold_of = assign_folds(units, weights, n_folds, seed)
    assert ((fold_of >= 0) & (fold_of < n_folds)).all()
    sizes = np.bincount(fold_of, weights, minlength=n_folds)
    # A fold gets more only while it is the emptiest, by one unit or one set that fits.
    assert sizes.max() <= weights.sum() / n_folds + weights.max()


@pytest.mark.parametrize(
    ("rows", "flags", "said"),
    [
        (islands(3), ["--folds=13"], "have only 12 photos, and each"),
        (islands(2), ["--folds=2"], "fold0: no triplet is left for"),
        ([row(1, 2, 3)], ["--folds=2"], "no triplet is left for"),
        (islands(9), ["--folds=3", "--into=test"], "--into does not go with --folds"),
        (islands(9), ["--folds=3", "--persons={tmp}/none.csv"], "none.csv: cannot be read"),
        (islands(9), ["--folds=3", "--out={tmp}/in"], "which would be replaced"),
    ],
)
def test_what_gives_no_folds_is_refused_in_one_sentence(
    written, tmp_path, rows, flags, said, capsys
):
    argv = ["split", str(written(rows)), f"--out={tmp_path / 'out'}"]
    assert cli.main([*argv, *(flag.format(tmp=tmp_path) for flag in flags)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "fold0").exists()


def test_one_fold_and_folds_of_another_number_are_refused(written, tmp_path, capsys):
    argv = ["split", str(written(islands(12))), f"--out={tmp_path / 'out'}"]
    with pytest.raises(SystemExit):
        cli.main([*argv, "--folds=1"])
    assert "not a whole number from 2 to 100" in capsys.readouterr().err
    assert cli.main([*argv, "--folds=4", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report == json.loads((tmp_path / "out" / "split.json").read_text())
    assert "so a person may be in train and in test" in printed.err
    assert cli.main([*argv, "--folds=3"]) == 2
    assert "fold3: of an earlier call with more folds" in capsys.readouterr().err
