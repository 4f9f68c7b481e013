"""The web application of the judging page: its routes. What counts is decided in `raters`.

GET  /             the page, and /static/… its files
GET  /picture/{id} a face as JPEG
POST /state        {"rater"} -> what to show
POST /answer       {"rater", "number", "id", "choice", "ms", "away"} -> what to show next
POST /undo         {"rater", "number"} -> what to show again
GET  /healthz      JSON: that the service runs, and its number of answers
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagefec import json_files
from imagefec.serving import static
from imagefec.serving.bodies import RefusedError, read_body
from imagefec.serving.guard import Allowed, Guard
from imagefec.serving.judging.raters import Conflict, Raters
from imagefec.serving.worker import Busy, Worker

MAX_BYTES = 4096  # of a request
_MAX_WAITING = 200


@dataclass
class _Service:
    raters: Raters
    pictures: dict[str, Path]
    worker: Worker
    version: str


def make_app(
    raters: Raters, pictures: dict[str, Path], allowed: Allowed, version: str = ""
) -> Guard:
    """Makes the application.

    Args:
      raters: who judge; used in one thread.
      pictures: JPEG file of each face id.
      allowed: names under which it may be addressed.
      version: of Image FEC.

    Returns:
      An ASGI application.
    """
    # One thread changes the raters and writes the answers, so that two tabs cannot answer a trial
    # twice.
    service = _Service(raters, pictures, Worker(_MAX_WAITING), version)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await service.worker.run(lambda: None)  # the last answer is written
        service.worker.close()

    routes = [
        Route("/healthz", _health),
        Route("/picture/{id}", _picture),
        Route(
            "/state",
            _post(lambda found: service.raters.state(found.get("rater"))),
            methods=["POST"],
        ),
        Route("/answer", _post(raters.answer), methods=["POST"]),
        Route("/undo", _post(raters.undo), methods=["POST"]),
        *static.routes("judge"),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.state.service = service
    return Guard(app, allowed)


def _post(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable:
    """A route that parses a JSON object and answers with what a change returns."""

    async def serve(request: Request) -> Response:
        service: _Service = request.app.state.service
        try:
            found = _object(await read_body(request, MAX_BYTES))
            return JSONResponse(await service.worker.run(change, found))
        except Conflict as error:
            return JSONResponse({"error": str(error), "state": error.state}, error.status)
        except RefusedError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except Busy:
            return JSONResponse({"error": "too many requests at once; try again"}, 503)
        except OSError as error:
            text = f"the answer cannot be written ({error.strerror}); it is not saved"
            return JSONResponse({"error": text}, 507)

    return serve


def _object(body: bytes) -> dict[str, Any]:
    try:
        return json_files.parse_object(body, constants=False)
    except ValueError as error:
        raise RefusedError(f"the body must be a JSON object: {error}") from None


async def _picture(request: Request) -> Response:
    path = request.app.state.service.pictures.get(request.path_params["id"])
    try:
        body = path.read_bytes() if path else None
    except OSError:
        body = None
    if body is None:
        return JSONResponse({"error": "there is no such picture"}, 404)
    return Response(body, media_type="image/jpeg")


async def _health(request: Request) -> Response:
    service: _Service = request.app.state.service
    try:
        counts = await service.worker.run(lambda: service.raters.counts)
    except Busy:
        return JSONResponse({"status": "busy"}, 503)
    return JSONResponse(
        {
            "status": "ok",
            "version": service.version,
            "faces": len(service.pictures),
            "raters": len(counts),
            "answers": sum(counts.values()),
        }
    )
