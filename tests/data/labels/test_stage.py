"""`imagefec triplets` as a whole: its files, the same bytes again, and input of every bad kind."""

import json
import os
import shutil
import stat
from collections import Counter

import pytest

from imagefec import cli
from imagefec.data.crop.expressions import read_expressions
from imagefec.data.fec_csv import read_rows
from imagefec.data.labels.stage import make_triplets
from imagefec.errors import UserError
from imagefec.fec import TripletType, csv_file_name

MANY = {"joy": 20, "fear": 20, "awe": 20}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def rows_of(out, split):
    return list(read_rows(out / csv_file_name(split)))


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_folder_of_labels_gives_splits_of_two_class_triplets(photos, out):
    report = make_triplets(photos.labelled(MANY), out)
    rows = {split: rows_of(out, split) for split in ("train", "validation", "test")}
    assert {split: len(of) for split, of in rows.items()} == {
        split: part["n_triplets"] for split, part in report["splits"].items()
    }
    assert len(rows["train"]) > 150 and len(rows["test"]) > 30
    urls = {split: {face.url for row in of for face in row.faces} for split, of in rows.items()}
    assert sum(map(len, urls.values())) == len(set.union(*urls.values()))
    for row in rows["train"]:
        labels = [face.url.split("/")[-2] for face in row.faces]
        assert row.type == TripletType.TWO_CLASS and row.annotators == ("simulated",)
        assert labels.count(labels[row.odd]) == 1 and len(set(labels)) == 2
    assert Counter(read_expressions([out / csv_file_name("train")]).values()) == MANY
    assert json.loads((out / "report.json").read_text()) == report
    card = (out / "README.md").read_text()
    assert "No person judged these" in card and "joy 20" in card


def test_the_same_command_gives_the_same_bytes_and_another_seed_is_refused(photos, out, tmp_path):
    source = photos.labelled(MANY)
    make_triplets(source, out, seed=1)
    before = contents(out)
    (out / csv_file_name("test")).unlink()  # as after a kill
    make_triplets(source, out, seed=1)
    assert contents(out) == before
    with pytest.raises(UserError, match="made with seed 1; now with seed 2"):
        make_triplets(source, out, seed=2)
    photos("joy/new.jpg")
    with pytest.raises(UserError, match="made with source_sha256"):
        make_triplets(source, out, seed=1)
    assert contents(out) == before


def test_a_folder_with_csv_files_of_others_is_not_written_to(photos, out):
    out.mkdir()
    (out / csv_file_name("train")).write_text("mine")
    with pytest.raises(UserError, match=r"holds .*train-public.csv, and no settings.json"):
        make_triplets(photos.labelled(MANY), out)
    assert (out / csv_file_name("train")).read_text() == "mine"
    with pytest.raises(UserError, match="in the folder of the photos"):
        make_triplets(photos.root, photos.root / "out")


@pytest.mark.parametrize("name", ["expressions.csv", "persons.csv"])
def test_other_csv_files_are_not_replaced_either(photos, out, name):
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(UserError, match=f"it holds {name}, and no settings.json"):
        make_triplets(photos.labelled(MANY), out)
    assert contents(out).keys() == {name, "triplets.lock"}


def test_a_full_disk_leaves_no_csv_file(photos, out, full_disk):
    source = photos.labelled(MANY)
    for n_files in range(7):  # three csv files, expressions, settings, report and README
        with full_disk(n_files), pytest.raises(UserError, match="a disk with free space"):
            make_triplets(source, out)
        assert contents(out).keys() == {"triplets.lock"}
    make_triplets(source, out, seed=1)  # nothing of the former call is in the way
    before = contents(out)
    with full_disk(6), pytest.raises(UserError):
        make_triplets(source, out, seed=1)
    assert contents(out) == before and len(before) == 8


def test_a_dry_run_refuses_a_folder_of_other_photos(photos, out):
    make_triplets(photos.labelled(MANY), out)
    photos("joy/new.jpg")
    with pytest.raises(UserError, match="made with source_sha256"):
        make_triplets(photos.root, out, dry_run=True)


def test_persons_are_in_one_split_and_make_hard_negatives(photos, out):
    photos.labelled(MANY, "{label}/ann{n}/1.jpg")
    photos.labelled(MANY, "{label}/ann{n}/2.jpg")
    report = make_triplets(photos.root, out, by=["folders:label/person"])
    assert report["n_persons"] == 20 and (out / "persons.csv").is_file()
    for split, part in report["splits"].items():
        n_hard = sum(is_hard(row) for row in rows_of(out, split))
        assert n_hard == part["n_same_person"] >= part["n_triplets"] // 5


def is_hard(row):
    persons = [face.url.split("/")[-2] for face in row.faces]
    return persons.count(persons[row.odd]) == 2


def test_counts_give_every_type_and_several_raters(photos, table, out):
    lines = ["path,joy,fear,anger"]
    for n in range(60):
        photos(f"p{n}.jpg")
        counts = [n % 3 == 0, n % 3 == 1, n % 3 == 2]
        lines.append(
            f"p{n}.jpg," + ",".join(str(6 * one + (n + at) % 3) for at, one in enumerate(counts))
        )
    report = make_triplets(table("\n".join(lines)), out, n_triplets=300, n_raters=7)
    train = report["splits"]["train"]
    assert report["kind"] == "counts" and min(train["by_type"].values()) > 0
    names = {name for row in rows_of(out, "train") for name in row.annotators}
    assert names == {f"simulated0{n}" for n in range(7)}
    assert all(row.why_unlabelled is None for row in rows_of(out, "train"))
    assert not (out / "expressions.csv").exists()


def test_ratings_give_triplets_and_negative_ones_are_allowed(photos, table, out):
    lines = ["path,valence,arousal"]
    for n in range(80):
        photos(f"p{n}.jpg")
        lines.append(f"p{n}.jpg,{n % 9 - 4},{(n * 7) % 11 - 5}")
    report = make_triplets(table("\n".join(lines)), out, n_triplets=240)
    assert report["kind"] == "ratings" and report["splits"]["train"]["alike_distance"] > 0
    assert {row.annotators for row in rows_of(out, "train")} == {("simulated",)}


def test_urls_are_taken_as_they_are(table, out):
    lines = ["url,label,person"]
    lines += [f"http://h/{n}.jpg,{'ab'[n % 2]},p{n // 6}" for n in range(60)]
    make_triplets(table("\n".join(lines)), out)
    assert {face.url[:9] for row in rows_of(out, "train") for face in row.faces} == {"http://h/"}


def test_persons_in_two_given_splits_are_reported(photos, out):
    for split in ("train", "val", "test"):
        photos.labelled({"joy": 4, "fear": 4}, split + "/{label}/p{n}/a.jpg")
    report = make_triplets(photos.root, out, by=["folders:split/label/person"])
    assert sum("4 persons are in train and in" in text for text in report["warnings"]) == 2


def test_what_is_left_out_is_counted_and_a_missing_split_is_said(photos, out):
    photos.labelled({"joy": 8, "fear": 8, "alone": 1})
    photos("joy/same.jpg", same=1)
    photos("fear/same.jpg", same=1)
    (photos.root / "joy" / "bad.jpg").write_bytes(b"no")
    report = make_triplets(photos.root, out, split="1,0,0")
    assert {reason: what["count"] for reason, what in report["left_out"].items()} == {
        "given with different labels": 2,
        "not a picture that can be read": 1,
    }
    assert any("one photo of alone" in text for text in report["warnings"])
    assert any("no split validation" in text for text in report["warnings"])
    assert not (out / csv_file_name("test")).exists()


def test_triplets_that_only_evaluate(photos, out):
    photos.labelled({"joy": 4, "fear": 4}, "{label}/p{n}/a.jpg")
    report = make_triplets(photos.root, out, by=["folders:label/person"], split="0,0,1")
    assert list(report["splits"]) == ["test"] and report["n_triplets"] == report["n_faces"] * 5
    assert any("evaluate runs, and train none" in text for text in report["warnings"])
    assert [path.name for path in out.glob("faceexp-*.csv")] == [csv_file_name("test")]


def test_names_of_every_kind_reach_the_report(photos, out, tmp_path):
    odd = tmp_path / os.fsdecode(b"own\xff")
    photos.labelled({"joy": 8, "fear": 8}).rename(odd)
    (odd / os.fsdecode(b"joy/\xfe.jpg")).symlink_to("nowhere")
    report = make_triplets(odd, out, split="1,0,0")
    assert report["left_out"]["broken link"]["first"] == [f"{tmp_path}/own\\xff/joy/\\xfe.jpg"]
    assert rows_of(out, "train")[0].faces[0].url.startswith((tmp_path / "own%FF").as_uri()[:-8])


def test_a_table_in_the_output_folder_is_not_replaced(photos, table):
    photos.labelled({"joy": 3, "fear": 3})
    path = table("path,label\njoy/0.jpg,joy\n", "persons.csv")
    with pytest.raises(UserError, match="is the folder of SOURCE"):
        make_triplets(path, path.parent)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"joy": 9}, "the only label is 'joy'"),
        ({f"l{n}": 1 for n in range(9)}, "each of the 9 labels has one photo"),
        ({"joy": 1, "fear": 1}, "2 usable photos of 2; a triplet needs three"),
        ({f"l{n}": 2 for n in range(201)}, "201 different labels"),
        ({"joy" * 25: 3, "fear": 3}, "longer than 60 characters"),
    ],
)
def test_labels_of_which_no_triplet_can_be_made_are_refused(photos, out, counts, said):
    with pytest.raises(UserError, match=said):
        make_triplets(photos.labelled(counts), out)
    assert not (out / "settings.json").exists()


def test_too_few_photos_for_a_training_triplet_are_refused(photos, out):
    with pytest.raises(UserError, match="train: no triplet can be made of its"):
        make_triplets(photos.labelled({"joy": 2, "fear": 2}), out)


SPLIT_1 = "path,split,label\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "path,joy,fear,awe\n" + "".join(f"p{n}.jpg,1,1,{n % 2}\n" for n in range(12)),
            r"train: no triplet can be made of its \d+ faces: in \d+ of them two labels have the "
            "same, highest count. Give counts without ties.",
        ),
        (
            SPLIT_1
            + "".join(f"p{n}.jpg,{'train,joy' if n < 6 else 'val,awe'}\n" for n in range(9)),
            "6 faces: all are 'joy', and a triplet needs two of a label and one of another. Give "
            "more photos, or another --split or --seed.",
        ),
        (
            SPLIT_1 + "".join(f"p{n}.jpg,train,l{n}\np{n + 6}.jpg,val,l{n}\n" for n in range(6)),
            "6 faces: no two photos have one label, and a triplet needs two of a label and one of "
            "another. Give more photos, or another --split or --seed.",
        ),
        (
            SPLIT_1
            + "".join(f"p{n}.jpg,{'train' if n < 2 else 'val'},joy{n % 2}\n" for n in range(9)),
            "2 faces: a triplet needs three different photos; found 2. Give more photos, or "
            "another --split or --seed.",
        ),
        (  # an equilateral triangle
            "path,split,valence,arousal\np0.jpg,train,0,0\np1.jpg,train,1,0\n"
            "p2.jpg,train,0.5,0.8660254\np3.jpg,val,2,2\n",
            r"3 faces: in (\d+) of \1 that were tried most raters find no odd face. Give more "
            "photos, or ratings that differ more.",
        ),
        (  # points in a line, at equal distances
            "path,split,valence,arousal\np0.jpg,train,0,0\np1.jpg,train,1,1\n"
            "p2.jpg,train,2,2\np3.jpg,val,9,9\n",
            r"3 faces: in all \d+ that were tried two of the three pairs are alike, which is no "
            "type. Give more photos, or ratings that differ more.",
        ),
    ],
)
def test_that_there_is_no_triplet_is_said_with_its_main_reason(photos, table, out, text, said):
    for n in range(12):
        photos(f"p{n}.jpg")
    with pytest.raises(UserError, match=said + "$"):
        make_triplets(table(text), out)


def test_ratings_that_are_all_the_same_are_refused(photos, table, out):
    for n in range(5):
        photos(f"p{n}.jpg")
    rows = "".join(f"p{n}.jpg,1,2\n" for n in range(5))
    with pytest.raises(UserError, match="every face has the same numbers"):
        make_triplets(table("path,valence,arousal\n" + rows), out)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["photos/joy/0.jpg"], "not a table by its name"),
        (["photos", "--split=1,1,1"], "three fractions"),
        (["photos", "--boxes=given"], "SOURCE gives none"),
        (["photos", "--same_person_share=0.5"], "no person is known"),
        (["photos", "--photos=photos"], "--photos is for a table"),
        (["photos", "--split=given"], "60 of 60 faces have no split"),
        (["photos", "--by=label:x"], "is for tables"),
        (["photos", "--by=folders:person/label"], "none of them in folders person/label/"),
    ],
)
def test_bad_input_gives_one_sentence_and_exit_code_2(
    photos, out, argv, said, capsys, monkeypatch, tmp_path
):
    photos.labelled(MANY)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["triplets", *argv, f"--out={out}"]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and "Traceback" not in printed.err and printed.out == ""


def test_the_command_prints_the_counts_and_the_next_commands(photos, out, capsys):
    assert cli.main(["triplets", str(photos.labelled(MANY)), f"--out={out}", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n_faces"] == 60
    assert "labels    awe 20, fear 20, joy 20" in printed.err
    assert "--detector=none" in printed.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(photos, out):
    out.mkdir()
    out.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UserError, match="that you may write to"):
        make_triplets(photos.labelled(MANY), out)


def test_photos_may_move_to_another_folder(photos, out, tmp_path):
    make_triplets(photos.labelled(MANY), out)
    before = rows_of(out, "train")
    shutil.move(photos.root, tmp_path / "moved, [2] ü")
    make_triplets(tmp_path / "moved, [2] ü", out)
    after = rows_of(out, "train")
    assert [row.choices for row in before] == [row.choices for row in after]
    assert "moved%2C%20%5B2%5D%20%C3%BC" in after[0].faces[0].url
