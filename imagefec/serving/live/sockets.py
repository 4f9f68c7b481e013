"""The websocket of a live session: the newest frame wins, and one is read at a time."""

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from imagefec.serving.live import messages
from imagefec.serving.live.client import MESSAGES_PER_S, LiveSession, TooManyMessages
from imagefec.serving.metrics import Metrics

SEND_TIMEOUT_S = 10.0  # a client that reads nothing for so long is dropped
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


@dataclass(frozen=True)
class _Frame:
    data: bytes
    seq: int
    arrived_s: float


class _Newest:
    """Holds the newest frame; an older one that nobody took is gone."""

    def __init__(self) -> None:
        self._frame: _Frame | None = None
        self._has_one = asyncio.Event()

    def put(self, frame: _Frame) -> bool:
        """Puts a frame; returns whether it replaced another."""
        replaced = self._frame is not None
        self._frame = frame
        self._has_one.set()
        return replaced

    async def take(self) -> _Frame:
        """Waits for a frame and takes it."""
        await self._has_one.wait()
        frame, self._frame = self._frame, None
        self._has_one.clear()
        assert frame is not None  # set before the event
        return frame


async def serve_socket(socket: WebSocket, live: LiveSession, metrics: Metrics) -> None:
    """Serves an accepted websocket until either side closes it.

    Args:
      socket: a binary message is a frame, a text message a request.
      live: its session.
      metrics: that count it.
    """
    newest = _Newest()
    answering = asyncio.create_task(_answer(socket, live, newest))
    receiving = asyncio.create_task(_receive(socket, live, newest, metrics))
    try:
        await asyncio.wait((answering, receiving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (answering, receiving):
            task.cancel()
        results = await asyncio.gather(answering, receiving, return_exceptions=True)
    if any(isinstance(result, TooManyMessages) for result in results):
        reason = f"more than {MESSAGES_PER_S:g} messages a second"
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.close(POLICY_VIOLATION, reason)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, _ENDS):
            raise result


# RuntimeError: starlette's, for a message to a socket that was closed meanwhile.
_ENDS = (WebSocketDisconnect, TooManyMessages, TimeoutError, RuntimeError)


async def _receive(socket: WebSocket, live: LiveSession, newest: _Newest, metrics: Metrics) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("bytes")
        seq, now_s = live.arrived(data is not None)
        if data is not None:
            if newest.put(_Frame(data, seq, now_s)):
                metrics.frames["replaced"] += 1
        else:
            await _send(socket, messages.dumps(live.request(message["text"])))


async def _answer(socket: WebSocket, live: LiveSession, newest: _Newest) -> None:
    while True:
        frame = await newest.take()
        _, answer = await live.frame(frame.data, frame.seq, frame.arrived_s)
        await _send(socket, messages.dumps(answer))


async def _send(socket: WebSocket, text: str) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await socket.send_text(text)
