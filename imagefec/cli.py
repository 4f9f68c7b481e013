# PYTHON_ARGCOMPLETE_OK
"""The command line: the list of verbs, exit codes, stdout and stderr. The verbs are in verbs/."""

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from absl import logging

import imagefec
from imagefec.errors import UserError
from imagefec.process import (
    StopSignals,
    close_stdout,
    end_at_once_on_signals,
    end_now,
    open_standard_streams,
)
from imagefec.progress import say, set_quiet
from imagefec.verbs import data, live, looking, own_data, pipeline, training, use
from imagefec.verbs.parser import Parser

_VERBS = (
    pipeline.quickstart,
    data.draw,
    data.fetch,
    data.crop,
    own_data.triplets,
    own_data.split,
    training.train,
    training.evaluate,
    use.embed,
    use.gallery,
    looking.map_verb,
    use.export,
    live.serve,
    live.judge,
    training.report,
    pipeline.doctor,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
      argv: the command line without the program's name; None for this process's own.

    Returns:
      0: done. 2: user error, one sentence on stderr. 130, 143 or 129: stopped by ctrl-C, SIGTERM
      or SIGHUP. 141: the reader of stdout is gone. An internal error is not caught, so Python exits
      with 1.
    """
    code = _main(argv)
    # A run ends as Python does: hosts wait for each other, and TensorBoard's files are closed.
    if argv is None and (code > 128 or sys.argv[1] not in ("train", "quickstart")):
        end_now(code)
    return code


def _main(argv: Sequence[str] | None) -> int:
    if argv is None:
        open_standard_streams()
    try:
        with StopSignals() as signals:
            try:
                return _run(sys.argv[1:] if argv is None else list(argv), signals, argv is None)
            finally:
                sys.stdout.flush()  # here, because Python would report a broken pipe as it ends
    except BrokenPipeError:
        close_stdout()
        return 141
    except KeyboardInterrupt:  # a second one, while the first was handled
        return 128 + signal.SIGINT
    finally:
        if argv is None:
            end_at_once_on_signals()


def _run(argv: Sequence[str], signals: StopSignals, is_process: bool) -> int:
    parser = _parser()
    if is_process:
        _complete(parser)
    arguments = parser.parse_args(argv)
    set_quiet(arguments.quiet)
    if arguments.verbose:
        logging.set_verbosity(logging.INFO)
    if is_process and arguments.verb in ("train", "quickstart"):
        from imagefec.training.step.huge_pages import use_huge_pages

        use_huge_pages()
    if is_process:  # what called `main` has loaded its libraries, and says what it does
        what = arguments.starts(arguments)
        say(arguments.verb, f"dry run: {what}" if getattr(arguments, "dry_run", False) else what)
    try:
        _print(arguments.verb_function(arguments))
    except BaseException as error:
        code, sentence = _outcome(error, signals)
        after_ctrl_c = "\n" if code > 128 and sys.stderr.isatty() else ""
        print(f"{after_ctrl_c}imagefec {arguments.verb}: {sentence}", file=sys.stderr)
        return code
    return 0


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell if it asks for completions; requires the package argcomplete."""
    if "_ARGCOMPLETE" in os.environ:
        with contextlib.suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def _print(result: Any) -> None:
    try:
        print(json.dumps(result) if isinstance(result, dict) else result, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        close_stdout()
        raise UserError(
            f"the work is done, but its result cannot be written to stdout ({error.strerror})."
        ) from None


def _parser() -> Parser:
    parser = Parser(
        prog="imagefec",
        description="Expression embeddings: from face triplets to an embedder and galleries.",
    )
    parser.add_argument("--version", action="version", version=f"imagefec {imagefec.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for add in _VERBS:
        add(verbs)
    return parser


def _outcome(error: BaseException, signals: StopSignals) -> tuple[int, str]:
    """Exit code and sentence for an error; raises an internal one again."""
    if isinstance(error, UserError):
        return 2, str(error)
    if isinstance(error, KeyboardInterrupt) or signals.received:
        number = getattr(error, "number", None) or signals.received or signal.SIGINT
        return 128 + number, "stopped; rerun the same command to resume."
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError) or not error.errno:
        raise error
    where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    return 2, f"{where}{error.strerror}. Fix this and rerun the command."
