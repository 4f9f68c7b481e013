"""The websocket of a real server: sessions, order, limits."""

import contextlib
import json
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from imagefec.serving.app import MAX_SOCKETS
from imagefec.serving.frames import MAX_BYTES


def ask(socket, message):
    socket.send(json.dumps(message) if isinstance(message, dict) else message)
    return json.loads(socket.recv(timeout=30))


def capture(socket, picture, seconds=20, **request):
    """Asks for a capture and sends a picture until it is done."""
    assert ask(socket, {"op": "goal", **request})["ok"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask(socket, picture)
        if answer.get("capture", {}).get("done"):
            return answer["capture"]
    raise AssertionError("the capture did not end")


def test_goal_on_one_expression_is_silent_there_and_sounds_on_another(server, neutral, surprise):
    with server.connect() as socket:
        first = ask(socket, neutral)
        assert set(first) >= {"seq", "box", "distance", "smoothed", "tone", "ms"}
        assert first["seq"] == 1 and first["distance"] is None and first["tone"]["gain"] == 0
        captured = capture(socket, neutral)
        assert captured["name"] == "goal" and len(captured["embedding"]) == 16
        silent = [ask(socket, neutral)["tone"]["gain"] for _ in range(5)]
        assert silent == [0] * 5
        answers = [ask(socket, surprise) for _ in range(20)]
        assert answers[-1]["distance"] > 0.1 and answers[-1]["tone"]["gain"] > 0.005
        assert answers[-1]["tone"]["hz"] > 220
        assert ask(socket, {"op": "reset"})["state"]["goals"] == []
        assert ask(socket, surprise)["distance"] is None


def test_a_goal_outlives_its_session_where_the_client_keeps_it(server, neutral, surprise):
    with server.connect() as socket:
        captured = capture(socket, neutral, name="calm")
    kept = {"op": "goal", **{k: captured[k] for k in ("name", "embedding", "dead_band")}}
    with server.connect() as socket:
        assert ask(socket, kept)["state"] == {
            "goals": ["calm"],
            "active": "calm",
            "neutral": False,
            "preset": "standard",
        }
        assert ask(socket, neutral)["tone"]["gain"] == 0
        assert ask(socket, surprise)["distance"] > 0.1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be JSON"),
        ("[]", "a JSON object"),
        ("[" * 5000, "must be JSON"),
        ("{}", "there is none"),
        ('{"op": "dance"}', "found 'dance'"),
        ('{"op": ["goal"]}', "found ['goal']"),
        ('{"op": "goal", "name": ""}', '"name" must be a text of 1 to 60'),
        ('{"op": "goal", "name": "a\\nb"}', "control characters"),
        ('{"op": "goal", "name": 3}', '"name" must be'),
        ('{"op": "use"}', "there is no goal 'goal'"),
        ('{"op": "preset", "name": "loud"}', "there is no preset"),
        ('{"op": "goal", "embedding": [1, 2]}', "a list of 16 finite numbers"),
        ('{"op": "goal", "embedding": [NaN]}', "must be JSON"),
        (json.dumps({"op": "goal", "embedding": [1e400] * 16}), "JSON"),
        (json.dumps({"op": "goal", "embedding": [0.0] * 16}), "must have length 1, found 0"),
        (json.dumps({"op": "goal", "embedding": [10**400] * 16}), "finite numbers"),
        (json.dumps({"op": "goal", "embedding": [0.25] * 16, "dead_band": 3}), '"dead_band" must'),
        ("x" * 70_000, "at most 65536 bytes"),
    ],
)
def test_requests_that_make_no_sense_are_answered_with_the_reason(server, text, reason, neutral):
    with server.connect() as socket:
        answer = ask(socket, text)
        assert answer["ok"] is False and reason in answer["error"]
        assert ask(socket, neutral)["box"] is not None  # the socket goes on


def test_frames_that_are_no_pictures_are_answered_and_counted_on(server, neutral):
    with server.connect() as socket:
        for seq, frame in enumerate((b"", b"x", neutral[:500], neutral[:-2]), 1):
            answer = ask(socket, frame)
            assert answer["seq"] == seq and answer["error"]
        assert ask(socket, neutral)["seq"] == 5


def test_a_message_over_one_megabyte_closes_the_socket_only(server, neutral):
    with server.connect() as socket:
        socket.send(bytes(MAX_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
        assert socket.close_code == 1009
    with server.connect() as socket:
        assert ask(socket, neutral)["seq"] == 1


def test_the_newest_frame_wins(server, neutral, surprise):
    with server.connect() as socket:
        for _ in range(100):
            socket.send(surprise)
        socket.send(neutral)
        answers = []
        while not answers or answers[-1]["seq"] < 101:
            answers.append(json.loads(socket.recv(timeout=30)))
        seqs = [answer["seq"] for answer in answers]
        assert seqs == sorted(set(seqs)) and len(seqs) < 101
        kept = next(answer for answer in answers if answer["seq"] == 101)
        assert kept["box"] == ask(socket, neutral)["box"] != answers[0]["box"]


def test_a_flood_of_messages_closes_the_socket(server):
    with server.connect() as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(100_000):
                ask(socket, {"op": "state"})
        assert socket.close_code == 1008 and "120 messages a second" in socket.close_reason


def test_of_a_hundred_sockets_32_are_served_and_the_others_refused_with_a_reason(server, neutral):
    sockets, refused = [], []
    try:
        for _ in range(100):
            try:
                sockets.append(server.connect())
            except InvalidStatus as error:
                refused.append(error.response)
        assert len(sockets) == MAX_SOCKETS == 32
        assert {each.status_code for each in refused} == {503}
        assert b"32 sessions already" in refused[0].body
        assert ask(sockets[-1], neutral)["seq"] == 1
    finally:
        for socket in sockets:
            socket.close()
    for _ in range(100):  # the server notices closed sockets a moment later
        try:
            with server.connect() as socket:
                assert ask(socket, neutral)["seq"] == 1
            return
        except InvalidStatus:
            time.sleep(0.1)
    raise AssertionError("closed sockets still count")


def test_clients_take_turns(server, neutral):
    """While one client floods, each answer of another comes after at most one of the first."""
    done, order = threading.Event(), []

    def flood():
        with server.connect() as socket:
            while not done.is_set():
                socket.send(neutral)
                socket.recv(timeout=30)
                order.append("flood")

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with server.connect() as socket:
            for _ in range(30):
                ask(socket, neutral)
                order.append("mine")
    finally:
        done.set()
        thread.join()
    begin = order.index("mine")
    end = len(order) - order[::-1].index("mine")
    assert order[begin:end].count("flood") <= 2 * 30


def test_a_reader_that_stops_reading_does_not_stop_others(server, neutral):
    with server.connect(max_queue=1) as slow, server.connect() as other:
        for _ in range(200):
            slow.send(neutral)
            time.sleep(0.01)
        assert ask(other, neutral)["seq"] == 1


def test_a_socket_that_vanishes_leaves_nothing(server, neutral):
    for _ in range(5):
        socket = server.connect()
        socket.send(neutral)
        socket.socket.close()
    for _ in range(100):
        text = server.request("GET", "/metrics")[2].decode()
        if "imagefec_sockets 0" in text:
            return
        time.sleep(0.1)
    raise AssertionError(text)
