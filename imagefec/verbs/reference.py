"""The reference page of all verbs, docs/cli.md.

python -m imagefec.verbs.reference > docs/cli.md
"""

import argparse
import textwrap
from collections.abc import Iterator

from imagefec import cli

_HEAD = """\
<!-- Made by: python -m imagefec.verbs.reference > docs/cli.md -->
# Command line

`imagefec VERB …` is the same as `python -m imagefec VERB …`. `imagefec VERB --help` prints the
section of a verb.

- The last line on stdout is the path that was written, or with `--json` one JSON object and nothing
  else. Logs and progress bars are on stderr.
- Exit code 0: done. 2: something that you can fix, which one sentence on stderr names. 1: an error
  of Image FEC. 130: interrupted (143 by SIGTERM, 129 by SIGHUP); rerun the same command to resume.
  141: the program that read stdout has ended.
- `--dry_run` checks the arguments and the input as the verb does, says what would be done, and
  writes nothing. The last line is the path that would be written. The verbs that write data have
  it.
  `gallery`, `map`, `report`, `embed` and `export` make a page or a file from what exists, within
  minutes; `evaluate`, `serve` and `doctor` write nothing of their own.
- In every path `~` and `$NAME` are replaced.
- Datasets are built by `tfds build`: [FEC](../tfds_builders/fec/README.md#building-it),
  [VGGFace2](../tfds_builders/vggface2/README.md#building-it).

"""


def page() -> str:
    """The page as Markdown; neither the terminal nor the version of Python changes it."""
    verbs: dict[str, argparse.ArgumentParser] = next(
        action.choices for action in cli._parser()._actions if isinstance(action.choices, dict)
    )
    links = textwrap.fill(", ".join(f"[{name}](#{name})" for name in verbs), 100)
    sections = [_section(name, parser) for name, parser in verbs.items()]
    return f"{_HEAD}{links}\n\n" + "\n".join(sections)


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    example = (parser.epilog or "").removeprefix("Example:\n  ")
    rows = [_row(action) for action in parser._actions if not _is_help(action)]
    table = ["| argument | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(
        [
            f"## {name}\n",
            f"{parser.description}\n",
            f"```\n{example}\n```\n",
            *table,
            *_exclusive(parser),
            "",
        ]
    )


def _is_help(action: argparse.Action) -> bool:
    return "--help" in action.option_strings


def _row(action: argparse.Action) -> str:
    shown = " (default: %(default)s)"  # what verbs/flags.py appends
    meaning = (action.help or "").removesuffix(shown)
    if isinstance(action, argparse._AppendAction) and "repeatable" not in meaning:
        meaning += "; repeatable"
    default = f"`{action.default}`" if (action.help or "").endswith(shown) else ""
    if action.required:
        default = "required"
    cells = (f"`{_form(action)}`", default, meaning.replace("%%", "%"))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _form(action: argparse.Action) -> str:
    """How the argument is written, such as --k=K or --runs RUN [RUN …]."""
    value = action.metavar or action.dest.upper()
    if action.choices is not None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    several = action.nargs == "+"
    values = f"{value} [{value} …]" if several else str(value)
    if not action.option_strings:
        return values
    if action.nargs == 0:
        return action.option_strings[0]
    return f"{action.option_strings[0]}{' ' if several else '='}{values}"


def _exclusive(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A sentence for each group of flags of which one may be given."""
    for group in parser._mutually_exclusive_groups:
        names = [f"`{action.option_strings[0]}`" for action in group._group_actions]
        must = "is required" if group.required else "may be given"
        yield f"\nOf {' and '.join(names)} one {must}."


if __name__ == "__main__":
    print(page(), end="")
