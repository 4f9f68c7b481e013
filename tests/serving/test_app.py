"""The HTTP routes of a real server."""

import json
import struct
import zlib

import cv2
import numpy as np
import pytest

from imagefec.faces import crop, detectors, opencv
from imagefec.faces.photos import read_photo
from imagefec.serving.engine import OnnxEngine
from imagefec.serving.frames import MAX_BYTES
from imagefec.serving.guard import HEADERS
from tests.serving.models import render

ID = "0123456789abcdef"


def test_embed_gives_what_the_model_gives_for_the_dataset_s_crop(server, model, surprise):
    status, found = server.json("POST", "/embed", surprise)
    assert status == 200 and len(found["faces"]) == 1
    face = found["faces"][0]

    photo = read_photo(surprise)
    detection = detectors.make_detector("auto").detect(photo)[0]
    cropped = opencv.resize(crop.crop_detection(photo, detection).face, 64, 64)
    expected = OnnxEngine(model).embed(cropped[None])[0]
    np.testing.assert_allclose(face["embedding"], expected, atol=1e-6)
    box = detection.box
    assert face["box"] == pytest.approx([box.left, box.top, box.right, box.bottom], abs=0.06)
    assert face["score"] == pytest.approx(detection.score)


def test_all_faces_of_a_picture_are_embedded_and_none_is_an_empty_list(server):
    left, right = (read_photo(render(word)) for word in ("neutral", "elation"))
    _, png = cv2.imencode(".png", np.hstack([left, right])[..., ::-1])
    status, found = server.json("POST", "/embed", png.tobytes())
    assert status == 200 and len(found["faces"]) == 2
    _, blank = cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))
    assert server.json("POST", "/embed", blank.tobytes()) == (200, {"faces": []})


def png_of(width, height):
    """A PNG whose header declares a size and which ends after it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "is empty"),
        (b"hello", 400, "is no picture"),
        (b"GIF89a" + bytes(40), 400, "is GIF"),
        (b"\xff\xd8\xff" + bytes(100), 400, "cannot be read"),
        (png_of(30_000, 30_000), 413, "30000 x 30000 pixels"),
        (png_of(5000, 5000), 413, "5000 x 5000 pixels, over 8,388,608"),
        (b"\xff\xd8\xff" + bytes(MAX_BYTES), 413, "more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(server, body, status, reason):
    found, answer = server.json("POST", "/embed", body)
    assert found == status and reason in answer["error"]


def test_a_picture_cut_off_anywhere_is_refused_and_the_server_stays_up(server, neutral):
    for end in range(1, len(neutral), len(neutral) // 20):
        status, answer = server.json("POST", "/embed", neutral[:end])
        assert status == 400 and answer["error"]
    assert server.json("GET", "/healthz")[1]["status"] == "ok"


def test_a_body_without_an_announced_length_is_limited_too(server):
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    try:
        status, _, body = server.request("POST", "/embed", chunk * 40 + b"0\r\n\r\n", headers)
    except (BrokenPipeError, ConnectionResetError):
        return  # the server closed the connection before all was sent
    assert status == 413 and b"more than" in body


def test_health_names_the_model_and_the_service(server):
    status, found = server.json("GET", "/healthz")
    assert status == 200 and found["status"] == "ok"
    assert (found["model"], found["image_size"], found["d_embedding"]) == ("small.onnx", 64, 16)
    assert len(found["digest"]) == 64 and found["presets"] == ["standard", "deep", "quick"]


def test_metrics_count_frames_by_outcome(server, neutral):
    def value(name):
        text = server.request("GET", "/metrics")[2].decode()
        return float(next(line for line in text.splitlines() if line.startswith(name)).split()[1])

    before = value('imagefec_frames_total{outcome="face"}'), value("imagefec_frame_seconds_count")
    server.json("POST", f"/session/{ID}", neutral)
    server.json("POST", f"/session/{ID}", b"no picture")
    assert value('imagefec_frames_total{outcome="face"}') == before[0] + 1
    assert value("imagefec_frame_seconds_count") == before[1] + 2
    assert value('imagefec_frame_seconds_bucket{le="+Inf"}') == before[1] + 2


def test_a_posted_session_works_as_a_socket_does(server, neutral, surprise):
    embedding = server.json("POST", "/embed", neutral)[1]["faces"][0]["embedding"]
    url, kind = "/session/" + "a" * 32, {"Content-Type": "application/json"}
    goal = {"op": "goal", "name": "calm", "embedding": embedding, "dead_band": 0.05}
    status, answer = server.json("POST", url, json.dumps(goal).encode(), kind)
    assert status == 200 and answer["ok"] and answer["state"]["active"] == "calm"
    status, near = server.json("POST", url, neutral)
    assert status == 200 and near["seq"] == 1
    assert near["distance"] == pytest.approx(0, abs=1e-5) and near["tone"]["gain"] == 0
    for _ in range(30):
        far = server.json("POST", url, surprise)[1]
    assert far["seq"] == 31 and far["distance"] > 0.1 and far["tone"]["gain"] > 0


@pytest.mark.parametrize("name", ["short", "a" * 65, "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a-b" * 9])
def test_ids_of_sessions_are_letters_and_digits(server, name):
    status, _, body = server.request("POST", f"/session/{name}", b"")
    assert status == 404 or (status == 400 and b"the session's id must" in body)


def test_the_number_of_posted_sessions_is_limited(server, neutral):
    answers = [server.json("POST", f"/session/{i:032d}", neutral)[0] for i in range(40)]
    assert answers[0] == 200 and answers[-1] == 503 and set(answers) == {200, 503}


def test_every_response_has_the_headers_that_browsers_obey(server):
    for method, path in (("GET", "/"), ("GET", "/healthz"), ("POST", "/embed"), ("GET", "/none")):
        _, headers, _ = server.request(method, path, b"" if method == "POST" else None)
        assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_scripts_styles_and_connections_come_from_the_server_itself_only(server):
    policy = server.request("GET", "/")[1]["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "unsafe" not in policy and "*" not in policy
    assert rules["script-src"] == rules["connect-src"] == "'self'"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2f..%2fcli.py",
        "/static//etc/passwd",
        "/static/__init__.py",
        "/static/",
        "//etc/passwd",
        "/static/index.html%00.js",
        "/embed/",
    ],
)
def test_path_tricks_find_nothing(server, path):
    assert server.request("GET", path)[0] == 404


def test_other_methods_are_refused(server):
    assert server.request("GET", "/embed")[0] == 405
    assert server.request("DELETE", "/healthz")[0] == 405
