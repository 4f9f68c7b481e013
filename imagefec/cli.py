"""The command line: the list of verbs, exit codes, stdout and stderr. The verbs are in verbs/."""

import argparse
import json
import sys
from collections.abc import Sequence

from absl.flags import argparse_flags

import imagefec
from imagefec.errors import UserError
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
      0: done. 2: user error, one sentence on stderr. 130: interrupted. An internal error is not
      caught, so Python exits with 1.
    """
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else list(argv))
    if argv is None and arguments.verb in ("train", "quickstart"):
        from imagefec.training.step.huge_pages import use_huge_pages

        use_huge_pages()
    try:
        result = arguments.verb_function(arguments)
    except UserError as error:
        print(f"imagefec {arguments.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"\nimagefec {arguments.verb}: stopped; rerun the same command to resume.",
            file=sys.stderr,
        )
        return 130
    except OSError as error:
        if error.errno is None or error.filename is None:
            raise
        print(
            f"imagefec {arguments.verb}: {error.filename}: {error.strerror}. Fix this and "
            "rerun the command.",
            file=sys.stderr,
        )
        return 2
    print(json.dumps(result) if isinstance(result, dict) else result)
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
