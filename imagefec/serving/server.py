"""Runs the service until it is stopped."""

import contextlib
import importlib.util
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import imagefec
from imagefec.errors import UserError
from imagefec.faces import detectors
from imagefec.faces.crop_settings import read_crop_settings
from imagefec.faces.detection_crop import CropDetection, cropper
from imagefec.process import STOPPING
from imagefec.serving import listening
from imagefec.serving.frames import MAX_BYTES, FrameReader

DEFAULT_PORT = 8765
_PACKAGES = ("starlette", "uvicorn", "websockets", "onnxruntime")
_SHUTDOWN_S = 2


def serve(
    model: Path,
    port: int = DEFAULT_PORT,
    host: str = listening.LOOPBACK,
    allow_origin: Sequence[str] = (),
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    out: TextIO | None = None,
) -> str:
    """Serves the page and the embeddings of a model until ctrl-C or SIGTERM.

    Args:
      model: run directory, archive of `imagefec export`, or an .onnx file.
      port: to listen on; 0 for any that is free.
      host: address to listen on.
      allow_origin: exact origins of proxies in front of the service.
      tls_cert: certificate file, PEM, for a host that other machines reach.
      tls_key: its key.
      out: gets the page's URL when the service is ready; None for stdout.

    Returns:
      "stopped", if it ended by itself.

    Raises:
      UserError: a package is missing, an argument is wrong, or the model cannot be loaded.
      KeyboardInterrupt: it was stopped.
    """
    check_packages()
    opened = listening.listen(host, port, tls_cert, tls_key, allow_origin)
    with opened.socket:
        from imagefec.serving.models import open_engine

        engine = open_engine(model)
        reader = FrameReader(engine, *detector_and_crop(engine.record, engine.name))
        reader.warm_up()
        _log.info("model %s, detector %s", engine.name, reader.detector.name)
        _run(reader, opened, tls_cert, tls_key, lambda: print(opened.url, file=out, flush=True))
    return "stopped"


_log = logging.getLogger(__name__)


def detector_and_crop(
    record: Mapping[str, Any], model: str
) -> tuple[detectors.Detector, CropDetection]:
    """The detector of the run's faces, or auto's if it is not available; how its faces are cropped.

    Args:
      record: of the engine.
      model: its name, for messages.

    Raises:
      UserError: the run's faces are aligned and the detector finds no eyes, or the record is
        damaged.
    """
    try:
        settings = read_crop_settings(record.get("crop") or {})
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{model}: its record of how faces are cropped is damaged ({error}). Export the run "
            "again."
        ) from None
    detector = _detector(settings.detector)
    return detector, cropper(settings, detector, model)


def _detector(name: str) -> detectors.Detector:
    if name not in ("", "none"):  # "none" takes each photo for a face
        with contextlib.suppress(UserError):  # files that this machine lacks
            return detectors.make_detector(name)
    return detectors.make_detector("auto")


def check_packages() -> None:
    """Raises UserError if a package of the extra `serve` is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"`serve` requires {', '.join(missing)}. Run: pip install 'imagefec[serve]' (in a "
            "checkout: pip install -e '.[serve]')."
        )


def _run(
    reader: FrameReader,
    opened: listening.Listening,
    tls_cert: Path | None,
    tls_key: Path | None,
    when_ready: Callable[[], None],
) -> None:
    import uvicorn

    from imagefec.serving.app import make_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list | None = None) -> None:
            await super().startup(sockets)
            when_ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """As uvicorn's, which leaves SIGHUP out: closes sockets, then passes the signal on."""
            received: list[int] = []

            def stop(number: int, _: object) -> None:
                self.should_exit = True
                self.force_exit = bool(received)
                received.append(number)

            handlers = {
                number: signal.signal(number, stop)
                for number in STOPPING
                if signal.getsignal(number) is not signal.SIG_IGN  # nohup
            }
            try:
                yield
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
            if received:
                signal.raise_signal(received[0])

    if opened.is_public:
        print(
            f"imagefec serve: everybody who reaches {opened.url} can use this service.",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        make_app(reader, opened.allowed, imagefec.__version__),
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MAX_BYTES,
        ws_per_message_deflate=False,  # pictures are compressed already
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # what a client says of itself is not believed
        limit_concurrency=256,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    Server(config).run(sockets=[opened.socket])
