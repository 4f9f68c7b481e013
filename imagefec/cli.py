"""The command line: the list of verbs, exit codes, stdout and stderr. The verbs are in verbs/."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence

from absl.flags import argparse_flags

import imagefec
from imagefec.errors import UserError
from imagefec.process import (
    Stopped,
    close_stdout,
    open_standard_streams,
    stop_signals_as_exceptions,
)
from imagefec.verbs import data, flags, pipeline, training, use

_VERBS = (
    pipeline.quickstart,
    data.draw,
    data.fetch,
    data.crop,
    training.train,
    training.evaluate,
    use.embed,
    use.gallery,
    training.report,
    pipeline.doctor,
)
_PLANNED = {
    "serve": "the webcam page and the embedding service on 127.0.0.1",
    "export": "a run as stablehlo, savedmodel or onnx",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: the command line without the program's name; None for this process's own.

    Returns:
      0: done. 2: user error, one sentence on stderr. 130, 143 or 129: stopped by ctrl-C, SIGTERM
      or SIGHUP. 141: the reader of stdout is gone. An internal error is not caught, so Python exits
      with 1.
    """
    if argv is None:
        open_standard_streams()
    try:
        with stop_signals_as_exceptions():
            try:
                return _run(sys.argv[1:] if argv is None else list(argv), is_process=argv is None)
            finally:
                sys.stdout.flush()  # here, because Python would report a broken pipe as it ends
    except BrokenPipeError:
        close_stdout()
        return 141


def _run(argv: Sequence[str], is_process: bool) -> int:
    arguments = _parser().parse_args(argv)
    if is_process and arguments.verb in ("train", "quickstart"):
        from imagefec.training.step.huge_pages import use_huge_pages

        use_huge_pages()
    try:
        result = arguments.verb_function(arguments)
    except UserError as error:
        print(f"imagefec {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(
            f"\nimagefec {arguments.verb}: stopped; rerun the same command to resume.",
            file=sys.stderr,
        )
        return 128 + (stopped.number if isinstance(stopped, Stopped) else signal.SIGINT)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        print(
            f"imagefec {arguments.verb}: {where}{error.strerror}. Fix this and rerun the command.",
            file=sys.stderr,
        )
        return 2
    print(json.dumps(result) if isinstance(result, dict) else result, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse_flags.ArgumentParser(
        prog="imagefec",
        inherited_absl_flags=None,
        description="Expression embeddings: from face triplets to an embedder and galleries.",
    )
    parser.add_argument("--version", action="version", version=f"imagefec {imagefec.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for add in _VERBS:
        add(verbs)
    for name, what in _PLANNED.items():
        verb = flags.add_verb(
            verbs, name, _refuse, f"{what} (not available yet)", f"imagefec {name}"
        )
        verb.add_argument("anything", nargs=argparse.REMAINDER)
    return parser


def _refuse(arguments: argparse.Namespace) -> None:
    raise UserError(
        f"this verb is not available yet ({_PLANNED[arguments.verb]}). This version has "
        "quickstart, draw, fetch, crop, train, evaluate, embed, gallery, report and doctor."
    )
