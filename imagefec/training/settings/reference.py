"""The reference page of all settings, docs/settings.md.

python -m imagefec.training.settings.reference > docs/settings.md
"""

from typing import Any

from imagefec.parameters import Function
from imagefec.training.settings.table import FORMER_NAMES, REQUIRED, Group, Setting, groups

_HEAD = """\
<!-- Made by: python -m imagefec.training.settings.reference > docs/settings.md -->
# Settings

All parameters that a gin file or `--config` may bind. [training.md](training.md) says which of
them to use when.

```
training.steps = 2000                      # GROUP.PARAMETER = VALUE; # begins a comment
training.optimizer = @imagefec.Adam        # a function, by name
training.learning_rate = @warmup_cosine()  # what a function returns
steps = 2000                               # a name for a value, which %steps stands for
include 'base.gin'                         # found beside this file, here or in gin_configs
```

Values are checked before any data is read. A wrong one ends the command with exit code 2 and a
sentence that names the file and line (or the `--config`), the setting, what was found and what is
allowed. Among several files, and among several `--config`, the later binding counts; within a file
a setting is bound once.

Gin files are data. They may name only what is on this page; `import`, `from … import` and names of
other libraries are refused, so that a gin file that somebody sends you runs no code. To train with
a network, a loss or an optimizer of your own, call `imagefec.training.trainer.train` from Python
with a `TrainConfig`.
"""


def page() -> str:
    """The page as Markdown."""
    sections = [_section(group) for group in groups().values() if group.name not in FORMER_NAMES]
    former = [f"`{former}` is now `{name}`." for former, name in FORMER_NAMES.items()]
    return "\n".join([_HEAD, *sections, "## Former names\n", *former, ""])


def _section(group: Group) -> str:
    rows = [_row(parameter, setting) for parameter, setting in group.settings.items()]
    return "\n".join(
        [
            f"## {group.name}\n",
            f"{group.summary}\n",
            "| parameter | allowed | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(parameter: str, setting: Setting) -> str:
    cells = (
        f"`{parameter}`",
        setting.kind.allowed,
        _default(setting),
        setting.meaning,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(setting: Setting) -> str:
    default: Any = setting.default
    if default is REQUIRED:
        return "none: must be bound"
    if isinstance(setting.kind, Function):
        return f"`@{setting.kind.names[0]}`"
    return f"`{default!r}`"


if __name__ == "__main__":
    print(page(), end="")
