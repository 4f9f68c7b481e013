"""Runs a web application on an open port until it is stopped; which application is elsewhere."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from starlette.types import ASGIApp

from imagefec.process import STOPPING
from imagefec.serving.listening import Listening

_SHUTDOWN_S = 2


def run_app(
    app: ASGIApp,
    opened: Listening,
    verb: str,
    when_ready: Callable[[], None],
    max_message_bytes: int = 2**16,
) -> None:
    """Serves an application until ctrl-C, SIGTERM or SIGHUP.

    Args:
      app: the application, behind a Guard.
      opened: where it listens.
      verb: for messages.
      when_ready: called when requests are answered.
      max_message_bytes: of a websocket.

    Raises:
      KeyboardInterrupt: it was stopped.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list | None = None) -> None:
            await super().startup(sockets)
            when_ready()

        async def shutdown(self, sockets: list | None = None) -> None:
            await super().shutdown(sockets)
            if self.force_exit:  # else the application would be cancelled, with a traceback
                await self.lifespan.shutdown()

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
            f"imagefec {verb}: everybody who reaches {opened.url} can use this service.",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=max_message_bytes,
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
        ssl_certfile=opened.tls_cert,
        ssl_keyfile=opened.tls_key,
    )
    Server(config).run(sockets=[opened.socket])
