"""`imagefec triplets --folds`: every face is tested once, with triplets sampled for each fold."""

import json

import pytest

from imagefec import cli
from imagefec.data.fec_csv import read_rows
from imagefec.data.labels.stage import make_triplets
from imagefec.data.parting.folds import split_into_folds
from imagefec.data.parting.holdout import split_csv
from imagefec.errors import UserError
from imagefec.fec import SPLITS, csv_file_name

MANY = {"joy": 40, "fear": 40, "awe": 40}


def urls_of(fold, split):
    return {face.url for row in read_rows(fold / csv_file_name(split)) for face in row.faces}


def test_every_photo_is_tested_in_one_fold_and_trained_on_in_the_others(photos, tmp_path):
    out = tmp_path / "out"
    report = make_triplets(photos.labelled(MANY), out, n_folds=3)
    tested = []
    for number in range(3):
        fold = out / f"fold{number}"
        urls = {split: urls_of(fold, split) for split in SPLITS}
        assert all(urls.values())
        assert sum(map(len, urls.values())) == len(set.union(*urls.values()))
        tested += urls["test"]
        assert json.loads((fold / "report.json").read_text()) == report["each"][number]
        assert (fold / "faces").resolve() == (out / "faces").resolve()
        assert (fold / "expressions.csv").is_file()
    assert len(tested) == len(set(tested)) == 120
    assert report["n_tested"] == sum(
        len(list(read_rows(out / f"fold{number}" / csv_file_name("test")))) for number in range(3)
    )
    assert report["n_tested"] >= 550  # five for each face: none is lost


def test_persons_are_tested_in_one_fold(photos, tmp_path):
    photos.labelled(MANY, "{label}/ann{n}/1.jpg")
    make_triplets(photos.root, tmp_path / "out", by=["folders:label/person"], n_folds=4)
    tested = []
    for number in range(4):
        fold = tmp_path / "out" / f"fold{number}"
        who = [{url.split("/")[-2] for url in urls_of(fold, split)} for split in SPLITS]
        assert sum(map(len, who)) == len(set.union(*who))
        tested += who[SPLITS.index("test")]
        assert (fold / "persons.csv").is_file()
    assert len(tested) == len(set(tested)) == 40


def test_the_same_command_gives_the_same_bytes_and_another_is_refused(photos, tmp_path):
    source, out = photos.labelled(MANY), tmp_path / "out"

    def contents():
        make_triplets(source, out, n_folds=2)
        return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    assert contents() == contents()
    with pytest.raises(UserError, match="made with split 2 folds; now with split 3 folds"):
        make_triplets(source, out, n_folds=3)
    make_triplets(source, tmp_path / "one")
    with pytest.raises(UserError, match=r"made with split 0\.7,0\.1,0\.2; now with split 2 folds"):
        make_triplets(source, tmp_path / "one", n_folds=2)


def test_a_folder_of_folds_takes_no_triplets_beside_them(photos, tmp_path):
    source, out = photos.labelled(MANY), tmp_path / "out"
    make_triplets(source, out, n_folds=2)
    with pytest.raises(UserError, match="fold0: of an earlier call with --folds"):
        make_triplets(source, out)
    assert not (out / csv_file_name("train")).exists()


def test_triplets_and_split_do_not_write_into_a_folder_of_the_other(photos, tmp_path):
    source = photos.labelled(MANY)
    make_triplets(source, tmp_path / "one")
    make_triplets(source, tmp_path / "folds", n_folds=2)
    train = tmp_path / "one" / csv_file_name("train")
    with pytest.raises(UserError, match=r"and no split\.json"):
        split_csv([tmp_path / "folds" / "fold0" / train.name], tmp_path / "one")
    with pytest.raises(UserError, match=r"and no split\.json"):
        split_into_folds([train], tmp_path / "folds", 2, share=0.3)
    split_csv([train], tmp_path / "parted", share=0.3)
    with pytest.raises(UserError, match=r"and no settings\.json"):
        make_triplets(source, tmp_path / "parted")
    split_into_folds([train], tmp_path / "parted_folds", 2)
    with pytest.raises(UserError, match=r"fold0: it holds .*, and no settings.json"):
        make_triplets(source, tmp_path / "parted_folds", n_folds=2)


def test_a_full_disk_leaves_no_csv_file(photos, tmp_path, full_disk):
    source, out = photos.labelled(MANY), tmp_path / "out"
    for n_files in (0, 6, 7, 13, 14):  # seven of each fold, and the joined report
        with full_disk(n_files), pytest.raises(UserError, match="a disk with free space"):
            make_triplets(source, out, n_folds=2)
        left = {path.name for path in out.rglob("*")}
        assert left <= {"fold0", "fold1", "faces", "triplets.lock"}
    make_triplets(source, out, n_folds=2, seed=1)


@pytest.mark.parametrize(
    ("counts", "flags", "said"),
    [
        ({"joy": 4, "fear": 4}, ["--folds=9"], "found 8 photos for 9 splits (fold0 to fold8)"),
        (MANY, ["--folds=3", "--split=given"], "--split does not go with --folds"),
        ({"joy": 5, "fear": 5}, ["--folds=5"], "no triplet can be made of the"),
    ],
)
def test_what_gives_no_folds_is_refused(photos, tmp_path, counts, flags, said, capsys):
    argv = ["triplets", str(photos.labelled(counts)), f"--out={tmp_path / 'out'}", *flags]
    assert cli.main(argv) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "fold0").exists()


def test_the_verb_says_the_next_commands(photos, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["triplets", str(photos.labelled(MANY)), f"--out={out}", "--folds=2", "--json"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["folds"] == 2
    assert f"crop {out}/fold*/faceexp-*.csv --cache=cache --faces={out}/faces" in printed.err
    assert "warning   fold0: persons are not known" in printed.err
