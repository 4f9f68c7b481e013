"""`imagefec judge` as a process: refusals, kills, restarts, and what strangers cannot do."""

# Over 350 lines: its tests share the photos and a judged project.
import concurrent.futures
import json
import shutil
import signal
import socket
import time

import pytest

from imagefec import cli
from tests.serving.judging.photos import Rater, write_photos
from tests.serving.servers import running_verb, start_verb


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def begun(photos, tmp_path_factory, no_model_files):
    """A project without answers, of which tests take copies: faces are searched once."""
    out = tmp_path_factory.mktemp("begun") / "out"
    with running_verb("judge", photos, f"--out={out}", "--port=0") as server:
        server.stop()
    return out


@pytest.fixture
def out(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "out")


@pytest.fixture(scope="module")
def server(photos, begun, tmp_path_factory):
    out = shutil.copytree(begun, tmp_path_factory.mktemp("served") / "out")
    with running_verb("judge", photos, f"--out={out}", "--port=0") as server:
        server.out = out
        yield server


def running_judge(photos, out, *arguments):
    return running_verb("judge", photos, f"--out={out}", "--port=0", *arguments)


def refused(capsys, *arguments):
    """The sentence with which the verb ends, in this process."""
    assert cli.main(["judge", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and printed.out == ""
    return printed.err.strip().splitlines()[-1]


def answers_of(out):
    return [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]


def test_judging_goes_on_after_kill_9(photos, out):
    with running_judge(photos, out) as server:
        Rater(server, "Anna").judge(12)
        before = Rater(server, "Anna").state()
        server.process.kill()
        server.process.wait()
    with (out / "answers.jsonl").open("ab") as file:
        file.write(b'{"op": "answer", "rater": "An')  # as a kill in the middle of a write leaves it
    with running_judge(photos, out) as server:
        assert Rater(server, "Anna").state() == before
        Rater(server, "Anna").judge(1)
        _, err = server.stop()
    assert server.process.returncode == 143 and "judge: Anna: 13 answers, repeats" in err
    assert [each["op"] for each in answers_of(out)] == ["answer"] * 12 + ["torn", "answer"]
    assert json.loads((out / "record.json").read_text())["torn_lines"] == 1


def test_a_search_for_faces_goes_on_after_kill_9(photos, begun, tmp_path):
    out, line = tmp_path / "out", tmp_path / "out" / "searched.jsonl"
    process = start_verb("judge", photos, f"--out={out}", "--port=0")
    while not line.exists() or line.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.communicate()
    with line.open("ab") as file:
        file.write(b'{"digest": "torn')
    before = {path: path.stat().st_mtime_ns for path in (out / "pictures").glob("*.jpg")}
    with running_judge(photos, out) as server:
        server.stop()
    found = [json.loads((each / "judge.json").read_text())["photos"] for each in (out, begun)]
    assert found[0] == found[1] and not line.exists()
    unchanged = [path for path, time_ns in before.items() if path.stat().st_mtime_ns == time_ns]
    assert len(unchanged) >= 2  # were not searched again


def test_a_second_server_and_an_export_on_the_same_folder_are_refused(server, photos, capsys):
    for more in ([], ["--export"]):
        line = refused(capsys, photos, f"--out={server.out}", "--port=0", *more)
        assert f"{server.out}: another judge (process {server.process.pid}) is writing" in line


def test_fifty_answers_of_one_trial_at_once_count_once(server):
    rater = Rater(server, "Fifty")
    trial = rater.state()["trials"][0]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        got = list(pool.map(lambda choice: rater.answer(trial, choice % 3), range(50)))
    assert sorted(status for status, _ in got) == [200] + [409] * 49
    assert all(body["state"]["answered"] == 1 for status, body in got if status == 409)
    assert rater.state()["answered"] == 1


def test_fifty_raters_at_once_are_all_recorded(server):
    raters = [Rater(server, f"rater {number}") for number in range(50)]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda rater: rater.judge(2), raters))
    names = [each["rater"] for each in answers_of(server.out)]
    assert all(names.count(rater.name) == 2 for rater in raters)


def test_two_tabs_of_one_rater_cannot_answer_a_trial_twice(server):
    first, second = Rater(server, "Tabs"), Rater(server, "Tabs")
    trial = first.state()["trials"][0]
    assert second.state()["trials"][0] == trial
    assert first.answer(trial)[0] == 200
    status, body = second.answer(trial, 2)
    assert status == 409 and body["error"] == "trial 1 is answered already"
    assert second.answer(body["state"]["trials"][0], 2)[0] == 200
    assert first.state()["answered"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/answer", b"", 400, "the body must be a JSON object"),
        ("/answer", b"[1, 2]", 400, "not an object"),
        ("/answer", b'{"rater": "x", "rater": "y"}', 400, "twice"),
        ("/answer", b"\xff\xfe", 400, "the body must be a JSON object"),
        ("/answer", b"[" * 4000, 400, "nested deeper than 32 levels"),
        ("/answer", b'{"a":' * 600 + b"1" + b"}" * 600, 400, "nested deeper than 32 levels"),
        ("/answer", b"{}", 400, "number must be a whole number"),
        ("/answer", b'{"number": NaN}', 400, "NaN is not a number"),
        ("/answer", b'{"number": 1, "choice": 7}', 400, "choice must be a whole number from 0"),
        ("/answer", b'{"number": 1, "choice": 1, "ms": 5}', 400, "the nickname must be a text"),
        ("/answer", b'{"number":1,"choice":1,"ms":5,"rater":"New"}', 409, "shows other faces now"),
        ("/answer", b'{"number":9,"choice":1,"ms":5,"rater":"New"}', 409, "is not the next one"),
        ("/answer", b'{"rater": "' + b"x" * 5000 + b'"}', 413, "more than 4,096 bytes"),
        ("/undo", b'{"rater": "New", "number": 1}', 409, "is not the last"),
        ("/state", b'{"rater": "=x"}', 400, "begins with ="),
        ("/state", b"{}", 400, "the nickname must be a text"),
    ],
)
def test_a_wrong_request_gets_its_reason_and_the_server_stays_up(
    server, path, body, status, reason
):
    before = len(answers_of(server.out))
    got, answer = server.json("POST", path, body)
    assert got == status and reason in answer["error"]
    assert server.json("GET", "/healthz")[1]["status"] == "ok"
    assert len(answers_of(server.out)) == before


def test_strangers_are_refused(server):
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        for method, path in (
            ("POST", "/answer"),
            ("POST", "/undo"),
            ("GET", "/"),
            ("GET", "/healthz"),
        ):
            status, found, body = server.request(
                method, path, b"{}" if method == "POST" else None, headers
            )
            assert status == 403 and body.startswith(b"Refused: ")
            assert found["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path",
    [
        *("/picture/../judge.json", "/picture/..%2fjudge.json", "/picture/%2e%2e%2fjudge.json"),
        *("/picture//etc/passwd", "/picture/", "/picture/0000000000000000", "/picture/x%00y"),
        *("/judge.json", "/answers.jsonl", "/static/../judge.json", "/static/__init__.py"),
        "/static/%2e%2e/__init__.py",
    ],
)
def test_a_path_leads_to_no_file_but_the_page_and_its_pictures(server, path):
    assert server.request("GET", path)[0] == 404


def test_a_picture_is_a_jpeg_that_is_stored_nowhere_and_says_nothing(server):
    trial = Rater(server, "Eve").state()["trials"][0]
    status, headers, body = server.request("GET", f"/picture/{trial['faces'][0]}")
    assert status == 200 and body.startswith(b"\xff\xd8\xff") and b"Exif" not in body
    assert headers["content-type"] == "image/jpeg" and headers["cache-control"] == "no-store"
    assert set(trial) == {"number", "id", "faces"}  # neither kind, nor label, nor split
    assert not any(word in json.dumps(trial) for word in ("anger", "amusement", "surprise"))


def test_methods_other_than_the_route_s_are_refused(server):
    assert server.request("GET", "/answer")[0] == 405
    assert server.request("DELETE", "/", b"")[0] == 405


def test_a_taken_port_is_refused_before_photos_are_read(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(capsys, tmp_path / "none", f"--out={tmp_path / 'out'}", f"--port={port}")
    assert f"--port {port}: taken by another program" in line


def test_what_cannot_be_judged_is_refused_in_one_sentence(capsys, tmp_path, photos):
    out, empty, few = tmp_path / "out", tmp_path / "empty", tmp_path / "few"
    empty.mkdir()
    few.mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))[:4]):
        shutil.copy(path, few / f"{number}.jpg")
    (few / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    common = [f"--out={out}", "--port=0"]
    assert "no such folder" in refused(capsys, tmp_path / "none", *common)
    assert "no file in this folder or below is an image" in refused(capsys, empty, *common)
    line = refused(capsys, few, *common)
    assert "4 faces are too few for 3 splits of at least 3" in line
    assert "unreadable: 1" in line and "broken.jpg" in line
    assert "lies in the folder of the photos" in refused(
        capsys, few, f"--out={few / 'out'}", "--port=0"
    )
    assert not (few / "out").exists()
    assert "few/0.jpg: a file" in refused(capsys, few / "0.jpg", *common)
    assert "has no answers" in refused(capsys, photos, *common, "--export")
    assert "belong to --export" in refused(capsys, photos, *common, "--json")


def test_photos_without_a_face_are_counted_and_too_few_faces_refused(capsys, tmp_path):
    import cv2
    import numpy as np

    for number in range(9):
        noise = np.random.default_rng(number).integers(0, 255, (60, 60, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.resize(noise, (240, 240)))
    arguments = [tmp_path, f"--out={tmp_path.parent / 'no_faces_out'}", "--port=0"]
    line = refused(capsys, *arguments)
    assert "0 faces are too few" in line and "no face found: 9" in line and "--boxes=whole" in line


def test_a_folder_of_other_photos_or_settings_is_refused(capsys, tmp_path, photos, out):
    more = shutil.copytree(photos, tmp_path / "more")
    shutil.copy(more / "anger" / "anger0.jpg", more / "anger" / "copy.jpg")  # the same content
    (more / "anger" / "anger1.jpg").unlink()
    line = refused(capsys, more, f"--out={out}", "--port=0")
    assert (
        "belongs to other photos" in line and "1 of its 18 are missing there and 0 are new" in line
    )
    line = refused(capsys, photos, f"--out={out}", "--port=0", "--seed=7")
    assert "began with seed 0; this command says seed 7" in line
    moved = shutil.copytree(photos, tmp_path / "moved")
    (moved / "anger" / "anger1.jpg").rename(moved / "surprise" / "x.jpg")
    assert "1 photos" in refused(capsys, moved, f"--out={out}", "--port=0")


def test_other_settings_are_named_before_the_labels_that_they_change(capsys, photos, out):
    line = refused(capsys, photos, f"--out={out}", "--port=0", "--labels=none")
    assert "began with labels folders; this command says labels none" in line


@pytest.mark.parametrize(
    "left_out",
    [3, [], {"a": 3}, {"a": {}}, {"a": {"count": 1}}, {"a": {"count": "1", "first": ["x"]}},
     {"a": {"count": 1, "first": [3]}}, {"a": {"count": 1, "first": None}}],
)  # fmt: skip
def test_a_damaged_list_of_what_was_left_out_is_refused(capsys, photos, out, left_out):
    text = (out / "judge.json").read_text()
    assert text.count('"left_out": {}') == 1
    damaged = text.replace('"left_out": {}', f'"left_out": {json.dumps(left_out)}')
    (out / "judge.json").write_text(damaged)
    assert "judge.json: damaged" in refused(capsys, photos, f"--out={out}", "--port=0")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"version": 1}', b"\xff", b'{"version": 9}']
)
def test_a_damaged_project_file_is_refused(capsys, photos, out, content):
    (out / "judge.json").write_bytes(content)
    assert "judge.json: damaged" in refused(capsys, photos, f"--out={out}", "--port=0")


def test_files_that_are_not_of_judge_are_never_replaced(capsys, photos, tmp_path):
    name = "faceexp-comparison-data-train-public.csv"
    (tmp_path / name).write_text("google's")
    line = refused(capsys, photos, f"--out={tmp_path}", "--port=0")
    assert f"{name}: not written by judge" in line and (tmp_path / name).read_text() == "google's"


def test_photos_that_moved_with_their_folder_are_found_again(photos, out, tmp_path):
    moved = shutil.copytree(photos, tmp_path / "elsewhere")
    shutil.rmtree(out / "pictures")  # made again
    with running_judge(moved, out) as server:
        Rater(server, "Anna").judge(3)
        trial = Rater(server, "Anna").state()["trials"][0]
        assert server.request("GET", f"/picture/{trial['faces'][2]}")[0] == 200
        server.stop()
    text = (out / "faceexp-comparison-data-train-public.csv").read_text()
    assert moved.as_uri() in text and photos.as_uri() not in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_writes_the_csv_files_and_the_report(photos, out, number, code):
    with running_judge(photos, out) as server:
        Rater(server, "Anna").judge(5)
        stdout, err = server.stop(number)
    assert server.process.returncode == code and stdout == "" and "Traceback" not in err
    lines = err.strip().splitlines()
    assert lines[-1].startswith("imagefec judge: stopped")
    assert lines[-2].startswith("judge: triplets: train 4, test 1, validation 0; in ")
    assert (out / "faceexp-comparison-data-test-public.csv").read_text().count("\n") == 1


def test_a_second_ctrl_c_shows_no_traceback(photos, out):
    with running_judge(photos, out) as server:
        Rater(server, "Anna").judge(5)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        _, err = server.stop(signal.SIGINT)
    assert server.process.returncode == 130
    assert "Traceback" not in err and "CancelledError" not in err
    assert err.strip().splitlines()[-1].startswith("imagefec judge: stopped")


def test_judging_loads_neither_tensorflow_nor_trax_nor_jax(photos, out):
    import subprocess
    import sys

    code = (
        "import sys, pathlib\n"
        "from imagefec.serving.judging import app, server, margins, fec_files\n"
        "from imagefec.serving.judging.project import Settings\n"
        f"photos, out = pathlib.Path({str(photos)!r}), pathlib.Path({str(out)!r})\n"
        "with server._open(photos, out, Settings()):\n"
        "    pass\n"
        "print(*({'tensorflow', 'trax', 'jax', 'tensorflow_datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_start_that_fails_prints_nothing_on_stdout(tmp_path):
    process = start_verb("judge", tmp_path / "none", f"--out={tmp_path / 'out'}", "--port=0")
    stdout, err = process.communicate(timeout=60)
    assert process.returncode == 2 and stdout == "" and "no such folder" in err
