"""From answers to FEC's csv files: what is in them, and that fetch, crop and training take them."""

import json
import shutil

import pytest
from PIL import Image

from imagefec import cli
from imagefec.data.fec_csv import read_rows, write_rows
from imagefec.fec import SPLITS, TripletType, csv_file_name
from imagefec.serving.judging.fec_files import export, rows_of
from imagefec.serving.judging.project import Settings, open_project
from imagefec.serving.judging.schedule import JUDGEMENT, Schedule
from imagefec.serving.judging.server import Sharing, _plan
from tests.serving.judging.photos import Rater, write_photos
from tests.serving.judging.test_report import answered
from tests.serving.servers import running_verb

N = 45


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """24 photos by expression; one is turned by its EXIF, one is a TIFF, which fetch refuses."""
    folder = write_photos(tmp_path_factory.mktemp("photos") / "Fo tos äö", n=8)
    turned = folder / "anger" / "anger0.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a turn by 90 degrees
    image = Image.open(turned).transpose(Image.Transpose.ROTATE_90)
    image.save(turned, exif=exif, quality=95)
    Image.open(folder / "anger" / "anger1.jpg").save(folder / "anger" / "anger1.tif")
    (folder / "anger" / "anger1.jpg").unlink()
    return folder


@pytest.fixture(scope="module")
def judged(photos, tmp_path_factory):
    """A folder in which two raters judged N trials each; Ben chooses like Anna in most."""
    out = tmp_path_factory.mktemp("judged") / "out"
    with running_verb("judge", photos, f"--out={out}", "--port=0") as server:
        for name in ("Anna", "Ben"):
            Rater(server, name).judge(N, lambda trial: trial["faces"].index(max(trial["faces"])))
        server.stop()
    return out


def records_of(out):
    return [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]


def test_a_dry_run_gives_the_record_of_the_export_and_changes_nothing(
    photos, judged, tmp_path, capsys
):
    out = shutil.copytree(judged, tmp_path / "out")
    with (out / "answers.jsonl").open("ab") as file:
        file.write(b'{"op": "answer"')  # as a kill in the middle of a write leaves it
    for path in out.glob("pictures/*"):
        path.unlink()  # would be made again
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in out.rglob("*")}
    argv = ["judge", str(photos), f"--out={out}", "--export", "--without=Ben"]
    assert cli.main([*argv, "--dry_run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in out.rglob("*")}
    assert after == before
    assert cli.main([*argv, "--json"]) == 0
    assert plan == {"dry_run": True, **json.loads(capsys.readouterr().out)}


def test_a_full_disk_in_the_middle_of_an_export_leaves_the_former_files(
    photos, judged, tmp_path, capsys, monkeypatch
):
    out = shutil.copytree(judged, tmp_path / "out")
    names = ["record.json", *(csv_file_name(split) for split in SPLITS)]
    before = {name: (out / name).read_bytes() for name in names if (out / name).exists()}

    def full(path, rows):
        if path.name == csv_file_name("validation"):
            path.write_text("half")
            raise OSError(28, "No space left on device", str(path))
        write_rows(path, rows)

    def without_test(*arguments):
        return rows_of(*arguments) | {"test": []}  # as if its answers had been undone

    monkeypatch.setattr("imagefec.serving.judging.fec_files.write_rows", full)
    monkeypatch.setattr("imagefec.serving.judging.fec_files.rows_of", without_test)
    assert cli.main(["judge", str(photos), f"--out={out}", "--export", "--without=Ben"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert {name: (out / name).read_bytes() for name in before} == before and len(before) > 2


@pytest.mark.parametrize("more", [["--port=0"], ["--export"], ["--export", "--dry_run"]])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "answers.jsonl is missing, but the csv files have {n} triplets. Restore it from"),
        (b"", "answers.jsonl is empty, but the csv files have {n} triplets. Restore it from"),
        (b'{"op": "ans', "answers.jsonl has only 0 answers, but the csv files have {n} triplets"),
        (
            b'{"op": "lost"}\n',
            "answers.jsonl has only 0 answers, but the csv files have {n} triplets",
        ),
        (40, "answers.jsonl has only 40 answers, but the csv files have {n} triplets"),
    ],
)
def test_triplets_of_answers_that_are_lost_are_kept(
    photos, judged, tmp_path, capsys, content, said, more
):
    out = shutil.copytree(judged, tmp_path / "out")
    journal = out / "answers.jsonl"
    if content is None:
        journal.unlink()
    elif isinstance(content, int):
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(True)[:content]))
    else:
        journal.write_bytes(content)
    before = contents(out)
    n = sum(map(len, rows_by_split(out).values()))
    assert cli.main(["judge", str(photos), f"--out={out}", *more]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{out}: {said.format(n=n)}" in line
    assert line.endswith("or move the csv files and record.json away.")
    assert contents(out) == before


def test_a_record_alone_is_kept_too_and_judging_begins_again_without_it(
    photos, judged, tmp_path, capsys
):
    out = shutil.copytree(judged, tmp_path / "out")
    (out / "answers.jsonl").write_bytes(b"")
    n = sum(map(len, rows_by_split(out).values()))
    for split in SPLITS:
        (out / csv_file_name(split)).unlink()
    argv = ["judge", str(photos), f"--out={out}", "--export"]
    assert cli.main(argv) == 2
    assert f"is empty, but record.json has {n} triplets." in capsys.readouterr().err
    (out / "record.json").unlink()
    assert cli.main(argv) == 0 and rows_by_split(out) == {}


def test_a_line_replaced_as_advised_is_counted_and_the_others_are_exported(
    photos, judged, tmp_path, capsys
):
    out = shutil.copytree(judged, tmp_path / "out")
    lines = (out / "answers.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(lines[1])["rater"] == "Anna"
    argv = ["judge", str(photos), f"--out={out}", "--export"]
    (out / "answers.jsonl").write_text("".join([lines[0], *lines[2:]]))
    assert cli.main(argv) == 2
    said = f"{out}/answers.jsonl, line 2: a record of rater Anna is about trial 3, after trial 1."
    assert said in capsys.readouterr().err
    (out / "answers.jsonl").write_text("".join([lines[0], '{"op": "lost"}\n', *lines[2:]]))
    assert cli.main(argv) == 0
    assert "judge: answers.jsonl: lines whose answers are lost: 1" in capsys.readouterr().err
    record = json.loads((out / "record.json").read_text())
    assert record["lost_lines"] == 1 and record["raters"]["Anna"]["answers"] == N - 1
    assert record["raters"]["Ben"]["answers"] == N


def contents(out):
    return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def rows_by_split(out):
    paths = {split: out / csv_file_name(split) for split in SPLITS}
    return {split: list(read_rows(path)) for split, path in paths.items() if path.exists()}


def test_each_triplet_is_one_row_with_a_column_pair_for_each_rater_who_judged_it(judged):
    rows = rows_by_split(judged)
    expected = {}
    for record in records_of(judged):
        if record["kind"] == "judgement":
            key = record["split"], frozenset(record["faces"])
            expected.setdefault(key, []).append(record["rater"])
    assert sum(map(len, rows.values())) == len(expected)
    for split in rows:
        raters = sorted(sorted(names) for (of, _), names in expected.items() if of == split)
        assert sorted(sorted(row.annotators) for row in rows[split]) == raters
    assert all(row.annotators == ("Anna", "Ben") for row in rows["test"] + rows["validation"])
    assert any(len(row.annotators) == 1 for row in rows["train"])


def test_the_choice_is_that_of_the_face_wherever_it_was_shown(judged):
    face_of = {}
    for record in json.loads((judged / "judge.json").read_text())["photos"]:
        face_of[tuple(record["box"])] = record["digest"][:16]
    for rows in rows_by_split(judged).values():
        for row in rows:
            ids = [face_of[face.box.sides] for face in row.faces]
            assert [ids[choice] for choice in row.choices] == [max(ids)] * len(row.choices)


def test_no_photo_is_in_two_splits(judged):
    urls = {
        split: {face.url for row in rows for face in row.faces}
        for split, rows in rows_by_split(judged).items()
    }
    assert len(urls) == 3
    assert sum(map(len, urls.values())) == len(set().union(*urls.values()))


def test_the_types_are_those_of_the_labels(judged):
    for rows in rows_by_split(judged).values():
        for row in rows:
            words = {
                "anger" if face.url.endswith(".png") else face.url.split("/")[-2]
                for face in row.faces
            }
            assert row.type == len(words) - 1


def test_repeats_and_catch_trials_are_never_in_the_csv_files(judged, photos):
    """The rows of all answers are those of the judgements alone."""
    kinds = [record["kind"] for record in records_of(judged)]
    assert kinds.count("repeat") == 2 * 4 and kinds.count("catch") == 2 * 3
    project = open_project(photos, judged, Settings())
    schedule, answers = Schedule(_plan(project, Sharing())), []
    for _ in range(60):
        answers.append(answered(schedule.next_trial("Eve", [a.trial for a in answers]), 1))
    alone = [answer for answer in answers if answer.trial.kind == JUDGEMENT]
    assert len(alone) < len(answers)
    assert rows_of(project, {"Eve": answers}) == rows_of(project, {"Eve": alone})


def test_without_labels_all_types_are_the_same_and_the_record_says_that_they_are_unknown(
    photos, tmp_path
):
    project = open_project(photos, tmp_path, Settings(labels="none"))
    schedule, answers = Schedule(_plan(project, Sharing())), []
    for _ in range(20):
        answers.append(answered(schedule.next_trial("Eve", [a.trial for a in answers]), 1))
    record = export(project, {"Eve": answers})
    rows = [row for rows in rows_by_split(tmp_path).values() for row in rows]
    assert len(rows) == 17  # 20 without the trials 8, 10 and 20
    assert {row.type for row in rows} == {TripletType.THREE_CLASS}
    assert record["types"] == "unknown" and not (tmp_path / "expressions.csv").exists()
    export(project, {"Eve": []})  # all is undone
    assert rows_by_split(tmp_path) == {}


def test_the_record_says_how_the_triplets_came_about(judged):
    record = json.loads((judged / "record.json").read_text())
    assert record["types"] == "by label" and record["active_share"] == 0
    assert sum(record["faces"].values()) == record["photos"]["judged"] == 24
    assert set(record["raters"]) == {"Anna", "Ben"}
    for split in SPLITS:
        assert record["triplets"][split] == len(rows_by_split(judged).get(split, []))
    anna = record["raters"]["Anna"]
    assert anna["answers"] == N and anna["repeats"]["share"] == 1  # the same rule each time
    assert record["pairs"][0]["share"] == 1


def test_export_prints_one_json_object_and_can_leave_a_rater_out(judged, photos, tmp_path, capsys):
    out = shutil.copytree(judged, tmp_path / "out")
    arguments = ["judge", str(photos), f"--out={out}", "--export", "--json"]
    assert cli.main(arguments) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((out / "record.json").read_text()) and record["path"] == str(out)
    assert cli.main([*arguments, "--without=Ben"]) == 0
    assert json.loads(capsys.readouterr().out)["raters_left_out"] == ["Ben"]
    assert {row.annotators for rows in rows_by_split(out).values() for row in rows} == {("Anna",)}
    assert cli.main([*arguments, "--without=Zed"]) == 2
    assert "no rater of" in capsys.readouterr().err
    assert cli.main(arguments[:-1]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}\n" and "judge: Anna and Ben: same face in " in printed.err


def test_fetch_and_crop_take_the_csv_files(judged, tmp_path, capsys):
    csv_paths = [str(judged / csv_file_name(split)) for split in SPLITS]
    cache = f"--cache={tmp_path / 'cache'}"
    assert cli.main(["fetch", *csv_paths, cache, "--json"]) == 0
    fetched = json.loads(capsys.readouterr().out)
    assert fetched["n_ok"] == fetched["n_urls"]
    faces = [f"--faces={tmp_path / 'faces'}", "--detector=blazeface", "--workers=1", "--json"]
    assert cli.main(["crop", *csv_paths, cache, *faces]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_kept"] >= 22 and report["n_faces"] == report["n_kept"], report


@pytest.mark.slow
def test_a_network_is_trained_on_judged_triplets(judged, tmp_path):
    from imagefec import quickstart

    manual = shutil.copytree(judged, tmp_path / "manual")
    csv_paths = [str(manual / csv_file_name(split)) for split in SPLITS]
    cache = f"--cache={tmp_path / 'cache'}"
    assert cli.main(["fetch", *csv_paths, cache]) == 0
    assert cli.main(["crop", *csv_paths, cache, f"--faces={manual / 'faces'}", "--workers=1"]) == 0
    quickstart.build(manual, tmp_path / "data")
    run = [f"--output_dir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'data'}"]
    assert cli.main(["train", "--config_file=smoke.gin", *run]) == 0
