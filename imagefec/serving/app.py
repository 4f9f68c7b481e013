"""The web application: its routes, over a reader of frames. Sockets and limits are elsewhere.

GET  /                the page, and /static/… its files
GET  /healthz         JSON: the model, and that the service runs
GET  /metrics         counts in Prometheus's format
POST /embed           one picture -> all its faces with box, score and embedding
WS   /ws              a live session: binary message = frame, text message = request
POST /session/{id}    the same for scripts, and for proxies that pass no websockets
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from imagefec.serving import frames, static
from imagefec.serving.bodies import RefusedError, read_body
from imagefec.serving.frames import FoundFace, FrameError, FrameReader
from imagefec.serving.guard import Allowed, Guard, refuse
from imagefec.serving.live import messages
from imagefec.serving.live.client import MESSAGES_PER_S, LiveSession, TooManyMessages
from imagefec.serving.live.session import PRESETS
from imagefec.serving.live.sockets import serve_socket
from imagefec.serving.metrics import Metrics
from imagefec.serving.worker import Busy, Worker

MAX_SOCKETS = 32
MAX_POSTED_SESSIONS = 32
FORGET_SESSION_S = 60.0  # after the last message of a posted session
_MAX_WAITING = 2 * MAX_SOCKETS


@dataclass
class _Service:
    """What the routes share."""

    reader: FrameReader
    worker: Worker
    metrics: Metrics
    version: str
    clock: Callable[[], float]
    posted: dict[str, LiveSession]

    def live_session(self) -> LiveSession:
        return LiveSession(self.reader, self.worker, self.metrics, self.clock)


def make_app(
    reader: FrameReader,
    allowed: Allowed,
    version: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Guard:
    """Makes the application.

    Args:
      reader: of frames; warmed up by the caller.
      allowed: names under which it may be addressed.
      version: of Image FEC.
      clock: seconds.

    Returns:
      An ASGI application.
    """
    worker = Worker(_MAX_WAITING)
    service = _Service(reader, worker, Metrics(), version, clock, {})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        worker.close()

    routes = [
        Route("/healthz", _health),
        Route("/metrics", _metrics),
        Route("/embed", _embed, methods=["POST"]),
        Route("/session/{id}", _post_session, methods=["POST"]),
        WebSocketRoute("/ws", _socket),
        *static.routes(),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.service = service
    return Guard(app, allowed)


def _service(request: Request | WebSocket) -> _Service:
    return request.app.state.service


async def _health(request: Request) -> Response:
    service = _service(request)
    engine, detector = service.reader.engine, service.reader.detector
    return JSONResponse(
        {
            "status": "ok",
            "version": service.version,
            "model": engine.name,
            "digest": engine.digest,
            "image_size": engine.image_size,
            "d_embedding": engine.d_embedding,
            "detector": detector.name,
            "presets": list(PRESETS),
            "uptime_s": round(service.metrics.uptime_s, 1),
        }
    )


async def _metrics(request: Request) -> Response:
    text = _service(request).metrics.text()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def _embed(request: Request) -> Response:
    service = _service(request)
    try:
        data = await read_body(request, frames.MAX_BYTES)
        faces = await service.worker.run(service.reader.faces, data)
    except RefusedError as error:
        return _refused(service, error.status, str(error))
    except Busy:
        return _refused(service, 503, "too many clients; try again later")
    return JSONResponse({"faces": [_face(each) for each in faces]})


async def _post_session(request: Request) -> Response:
    """A frame or a request (Content-Type application/json) of the session of this id."""
    service = _service(request)
    is_request = request.headers.get("content-type", "").startswith("application/json")
    try:
        live = _posted_session(service, request.path_params["id"])
        seq, now_s = live.arrived(not is_request)
        data = await read_body(request, messages.MAX_BYTES if is_request else frames.MAX_BYTES)
    except RefusedError as error:
        return _refused(service, error.status, str(error))
    except TooManyMessages:
        return _refused(service, 429, f"more than {MESSAGES_PER_S:g} messages a second")
    status, answer = (200, live.request(data)) if is_request else await live.frame(data, seq, now_s)
    return JSONResponse(answer, status)


def _posted_session(service: _Service, session_id: str) -> LiveSession:
    """The session of an id, made if it is new.

    Raises:
      FrameError: the id is no id, or there are too many sessions.
    """
    now_s = service.clock()
    for name, live in list(service.posted.items()):
        if now_s - live.used_s > FORGET_SESSION_S:
            del service.posted[name]
    if not (16 <= len(session_id) <= 64 and session_id.isascii() and session_id.isalnum()):
        text = "the session's id must be 16 to 64 letters and digits, chosen at random"
        raise FrameError(text)
    if session_id not in service.posted:
        if len(service.posted) >= MAX_POSTED_SESSIONS:
            raise FrameError("too many sessions; try again in a minute", 503)
        service.posted[session_id] = service.live_session()
    return service.posted[session_id]


async def _socket(socket: WebSocket) -> None:
    service = _service(socket)
    if service.metrics.sockets >= MAX_SOCKETS:
        service.metrics.refusals[503] += 1
        text = f"Refused: there are {MAX_SOCKETS} sessions already. Close one and try again."
        await refuse(socket.scope, socket.send, 503, text)
        return
    service.metrics.sockets += 1
    try:
        await socket.accept()
        await serve_socket(socket, service.live_session(), service.metrics)
    finally:
        service.metrics.sockets -= 1


def _face(face: FoundFace) -> dict[str, Any]:
    return {
        "box": messages.box_list(face.box),
        "score": float(face.score),
        "embedding": [float(x) for x in face.embedding],
    }


def _refused(service: _Service, status: int, reason: str) -> Response:
    service.metrics.refusals[status] += 1
    return JSONResponse({"error": reason}, status)
