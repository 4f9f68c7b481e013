"""`imagefec split`: parts share no photo and no person, and what that costs is counted."""

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec import cli
from imagefec.data.fec_csv import read_rows
from imagefec.data.parting.holdout import hold_out, split_csv
from imagefec.errors import UserError
from imagefec.fec import csv_file_name
from tests.data.parting.conftest import islands, row


def photos_of(path):
    return {face.url for one in read_rows(path) for face in one.faces}


def test_connected_rows_are_held_out_whole_at_no_loss(written, tmp_path):
    report = split_csv([written(islands(20))], tmp_path / "out", share=0.2)
    assert report["n_dropped"] == 0
    assert report["splits"] == {
        "train": {"n_triplets": 64, "n_photos": 64},
        "validation": {"n_triplets": 16, "n_photos": 16},
    }


def test_rows_between_the_parts_are_dropped_and_counted(written, tmp_path):
    rng = np.random.default_rng(0)
    rows = [row(*rng.choice(100, 3, replace=False)) for _ in range(400)]
    out = tmp_path / "out"
    report = split_csv([written(rows)], out, share=0.2)
    train, held = (out / csv_file_name(split) for split in ("train", "validation"))
    assert photos_of(train).isdisjoint(photos_of(held)) and len(photos_of(held)) <= 20
    n_kept = len(list(read_rows(train))) + len(list(read_rows(held)))
    assert report["n_dropped"] == 400 - n_kept
    at_random = 400 * 0.2**3  # rows with three of 20 photos chosen at random
    assert len(list(read_rows(held))) > 3 * at_random


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=20),
    st.sampled_from([0.1, 0.4, 0.8]),
    st.integers(0, 3),
)
def test_a_row_is_in_a_part_only_with_all_its_units(rows, share, seed):
    units = np.array(rows)
    held = hold_out(units, 10, share, seed)
    assert held.in_part.sum() <= max(1, round(share * 10))
    for of_row, part in zip(units, held.rows):
        inside = held.in_part[of_row]
        assert part == (1 if inside.all() else 0 if not inside.any() else -1)


def test_persons_are_in_one_part(written, tmp_path):
    persons = tmp_path / "persons.csv"
    names = sorted({face.url for one in islands(20) for face in one.faces})
    owners = {url: f"p{int(url.split('/')[-1].split('-')[0]) // 2}" for url in names}
    persons.write_text("url,person\n" + "".join(f"{url},{who}\n" for url, who in owners.items()))
    report = split_csv([written(islands(20))], tmp_path / "out", share=0.2, persons=persons)
    parts = [photos_of(tmp_path / "out" / csv_file_name(s)) for s in ("train", "validation")]
    of_part = [{owners[url] for url in part} for part in parts]
    assert of_part[0].isdisjoint(of_part[1])
    assert (report["n_units"], report["n_units_held_out"], report["n_dropped"]) == (10, 2, 0)


def test_other_splits_are_copied_and_shared_photos_counted(written, tmp_path):
    train, test = written(islands(20)), written(islands(1), "test")
    (train.parent / "expressions.csv").write_text("url,left,right,top,bottom,expression\n")
    out = tmp_path / "out"
    report = split_csv([train, test], out, share=0.2)
    assert (out / test.name).read_bytes() == test.read_bytes()
    assert (out / "expressions.csv").exists() and sum(report["shared_photos"].values()) == 4


@pytest.mark.parametrize(
    ("rows", "flags", "said"),
    [
        ([row(1, 2, 3)], [], "no triplet of 1 is left for"),
        (islands(3), ["--persons={tmp}/none.csv"], "none.csv: cannot be read"),
        (islands(3), ["--persons={tmp}/in/" + csv_file_name("train")], "needs the columns url"),
        (islands(3), ["--out={tmp}/in"], "which would be replaced"),
    ],
)
def test_what_cannot_be_parted_is_refused(written, tmp_path, rows, flags, said, capsys):
    argv = ["split", str(written(rows)), f"--out={tmp_path / 'out'}", "--share=0.3"]
    assert cli.main([*argv, *(flag.format(tmp=tmp_path) for flag in flags)]) == 2
    assert said in capsys.readouterr().err


def person_file(tmp_path, rows, at="http://h/"):
    photos = sorted({face.url.split("/")[-1] for one in rows for face in one.faces})
    path = tmp_path / "persons.csv"
    path.write_text("url,person\n" + "".join(f"{at}{p},p{p.split('-')[0]}\n" for p in photos))
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"into": "test"}, "made with into validation; now with into test"),
        ({"share": 0.3}, r"made with share 0\.2; now with share 0\.3"),
        ({"seed": 1}, "made with seed 0; now with seed 1"),
        ({"persons": True}, "made with source_sha256"),
    ],
)
def test_a_folder_takes_one_call_again_and_no_other(written, tmp_path, change, said):
    train, out = written(islands(20)), tmp_path / "out"
    split_csv([train], out, share=0.2)
    before = contents(out)
    (out / csv_file_name("validation")).unlink()  # as after a kill
    split_csv([train], out, share=0.2)
    assert contents(out) == before
    if "persons" in change:
        change = {"persons": person_file(tmp_path, islands(20))}
    for dry_run in (True, False):
        with pytest.raises(UserError, match=said):
            split_csv([train], out, **{"share": 0.2, **change}, dry_run=dry_run)
    with pytest.raises(UserError, match="made with source_sha256"):
        split_csv([written(islands(19))], out, share=0.2)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (csv_file_name("test"), "holds .*-test-public.csv, and no split.json of `imagefec split`"),
        ("expressions.csv", "it holds expressions.csv, and no split.json"),
        ("split.json", "holds no csv files, and a foreign, older or damaged split.json"),
        ("fold1/" + csv_file_name("train"), "fold1: of an earlier call with --folds"),
    ],
)
def test_a_folder_with_files_of_others_is_not_written_to(written, tmp_path, held, said):
    path = tmp_path / "out" / held
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(UserError, match=said):
        split_csv([written(islands(20))], tmp_path / "out", share=0.2)
    assert path.read_text() == "{}" and not list((tmp_path / "out").glob("*train*"))


def test_persons_of_other_photos_are_refused(written, tmp_path):
    rows, out = islands(20), tmp_path / "out"
    moved = person_file(tmp_path, rows, "http://moved/")
    said = (
        r"none of the 80 photos is in it: its first is 'http://moved/0-0.jpg', and the first of .*"
    )
    with pytest.raises(UserError, match=said + "is 'http://h/0-0.jpg'. Give the persons of these"):
        split_csv([written(rows)], out, persons=moved)
    moved.write_text("url,person\nhttp://h/0-0.jpg, \n")
    with pytest.raises(UserError, match="is in it: it names nobody, and"):
        split_csv([written(rows)], out, persons=moved)
    assert not out.exists()


def test_photos_without_a_person_are_counted(written, tmp_path, capsys):
    persons = person_file(tmp_path, islands(15))
    argv = ["split", str(written(islands(20))), f"--out={tmp_path / 'out'}", "--share=0.2"]
    assert cli.main([*argv, f"--persons={persons}", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["n_photos_without_person"], report["n_photos"]) == (20, 80)
    assert "persons    not known of 20 of 80 photos, which are parted by photo" in printed.err


def test_spellings_of_a_person_are_one(written, tmp_path):
    names = ["Zoë", unicodedata.normalize("NFD", "Zoë"), "ZOË", " zoë "]
    lines = [f"http://h/{i}-0.jpg,{name}\n" for i, name in enumerate(names)]
    persons = tmp_path / "persons.csv"
    persons.write_text("url,person\n" + "".join(lines))
    report = split_csv([written(islands(20))], tmp_path / "out", share=0.2, persons=persons)
    assert report["n_units"] == 80 - 3


def test_a_full_disk_leaves_no_csv_file(written, tmp_path, full_disk):
    train, test = written(islands(20)), written(islands(1), "test")
    out = tmp_path / "out"
    for n_files in range(4):
        with full_disk(n_files), pytest.raises(UserError, match="a disk with free space"):
            split_csv([train, test], out, share=0.2)
        assert [path.name for path in out.iterdir()] == ["split.lock"]
    split_csv([train, test], out, share=0.2)
    before = contents(out)
    with full_disk(3), pytest.raises(UserError):
        split_csv([train, test], out, share=0.2)
    assert contents(out) == before and len(before) == 5


def test_a_split_that_exists_is_not_held_out_again(written, tmp_path):
    paths = [written(islands(3)), written(islands(3), "validation")]
    with pytest.raises(UserError, match="there is a split validation already"):
        split_csv(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()
