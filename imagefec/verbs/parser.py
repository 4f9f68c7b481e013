"""The parser of the command line: an error is one sentence, with the flag that may be meant."""

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """As argparse's, but a mistyped flag or verb is answered with the nearest one that exists."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's; arguments that are not known are an error of their verb."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = self._verbs().get(getattr(found, "verb", ""), self)
            known = parser._unknown_flags(unknown)
            flags_first = "; a flag stands after its verb" if unknown[0].startswith("-") else ""
            others = f"unrecognized arguments: {' '.join(unknown)}{flags_first}"
            parser.error(" and ".join(known) or others)
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's."""
        self._given: Sequence[str] = args or ()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2 and one sentence on stderr."""
        verbs = self._verbs()
        if verbs and not self._given:
            self.print_help(sys.stderr)
        if verbs and "invalid choice" in message:
            typed = next(word for word in self._given if not word.startswith("-"))
            message = f"there is no verb {typed}{_nearest(typed, verbs)}"
        elif message.startswith("the following arguments are required"):
            message = "; ".join([message, *self._unknown_flags(self._given)])
        self.exit(2, f"{self.prog}: {message.removesuffix('.')}. See {self.prog} --help.\n")

    def _unknown_flags(self, words: Sequence[str]) -> list[str]:
        known = self._option_string_actions
        flags = (word.partition("=")[0] for word in words if word.startswith("--"))
        return [
            f"there is no flag {flag}{_nearest(flag, known)}"
            for flag in flags
            if not any(name.startswith(flag) for name in known)
        ]

    def _verbs(self) -> dict[str, "Parser"]:
        choices = (action.choices for action in self._actions)
        return next((found for found in choices if isinstance(found, dict)), {})


def _nearest(typed: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(typed, list(known), 1)
    return f" (did you mean {found[0]}?)" if found else ""
