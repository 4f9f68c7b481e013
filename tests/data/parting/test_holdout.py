"""`imagefec split`: parts share no photo and no person, and what that costs is counted."""

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


def test_a_split_that_exists_is_not_held_out_again(written, tmp_path):
    paths = [written(islands(3)), written(islands(3), "validation")]
    with pytest.raises(UserError, match="there is a split validation already"):
        split_csv(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()
