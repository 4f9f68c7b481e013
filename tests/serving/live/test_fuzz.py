"""10,000 messages without sense: each is answered or refused, and the server goes on."""

import json
import random
import struct

from websockets.exceptions import ConnectionClosed

from tests.serving.models import render

MESSAGES = 10_000
WORDS = ("goal", "neutral", "use", "forget", "preset", "reset", "state", "dance", "", None, 7, [])
VALUES = (None, True, -1, 1e308, 10**40, "calm", "\u202e", "\ud800", [], {}, [0.25] * 16, [1] * 16)


def request(rng):
    """A request whose parts fit together by chance only."""
    message = {"op": rng.choice(WORDS)}
    for name in ("name", "embedding", "dead_band", "more"):
        if rng.random() < 0.4:
            message[name] = rng.choice(VALUES)
    text = json.dumps(message)
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice('{}[]",:\\u0') + text[at + 1 :]
    return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.1 else text


def frame(rng, pictures):
    """A picture, most often damaged."""
    data = bytearray(rng.choice(pictures))
    for _ in range(rng.choice((0, 1, 1, 4, 64))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.5:
        # Near the header most bytes mean something.
        data[rng.randrange(2, 200)] = rng.randrange(256)
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    if rng.random() < 0.05:
        data = struct.pack(">8s", b"\x89PNG\r\n\x1a\n") + rng.randbytes(rng.randrange(300))
    return bytes(data)


def test_ten_thousand_messages_are_answered_or_refused(server):
    rng = random.Random(0)
    pictures = [render("neutral"), render("anger")]
    sent = answered = closed = 0
    while sent < MESSAGES:
        with server.connect() as socket:
            try:
                for _ in range(200):  # below the burst that a client may send
                    data = request(rng) if rng.random() < 0.85 else frame(rng, pictures)
                    sent += 1
                    socket.send(data)
                    answer = json.loads(socket.recv(timeout=60))
                    answered += 1
                    if isinstance(data, str):
                        assert answer["ok"] is True or answer["error"]
                    else:
                        assert "tone" in answer or answer["error"]
                        assert "internal" not in answer.get("error", "")
            except ConnectionClosed:
                closed += 1
    assert answered == sent and closed == 0
    assert server.process.poll() is None
    status, found = server.json("GET", "/healthz")
    assert (status, found["status"]) == (200, "ok")
    with server.connect() as socket:
        socket.send(pictures[0])
        assert json.loads(socket.recv(timeout=30))["box"] is not None
