"""Verbs that run a local web page: the live demo."""

import argparse
from typing import Any

from imagefec.verbs import flags


def serve(verbs: Any) -> None:
    """Adds `serve`."""

    def run(arguments: argparse.Namespace) -> Any:
        from imagefec.serving import packages

        packages.check_packages("serve", (*packages.PAGE, *packages.ENGINE))
        from imagefec.serving.server import serve

        return serve(
            arguments.run,
            arguments.port,
            arguments.host,
            arguments.allow_origin,
            arguments.tls_cert,
            arguments.tls_key,
        )

    what = "serves the webcam page and the embeddings of a run on 127.0.0.1"
    verb = flags.add_verb(verbs, "serve", run, what, "imagefec serve --run=runs/fec --port=8765")
    flags.path(
        verb, "--run", "run directory, archive of `imagefec export`, or .onnx file", required=True
    )
    port = flags.within(0, 65535, int)
    flags.flag(verb, "--port", "port to listen on; 0 for any that is free", 8765, type=port)
    flags.flag(verb, "--host", "address to listen on; others than 127.0.0.1 need TLS", "127.0.0.1")
    flags.flag(
        verb,
        "--allow_origin",
        "origin of a proxy in front of the service, such as https://example.org; repeatable",
        [],
        action="append",
        metavar="ORIGIN",
    )
    flags.path(verb, "--tls_cert", "certificate file, PEM")
    flags.path(verb, "--tls_key", "key file of the certificate, PEM")
