"""How long a command runs and how it ends, as far as its words alone say: nothing is executed.

Played are `true`, `false`, `exit N`, `sleep N`, words that print something, and small scripts of these for a shell
(`sh -c "echo hello && sleep 5 && exit 42"`), as manifests for trying Jobs have them. All other commands serve for ever.
"""

from __future__ import annotations

import re

_CODE, _SECONDS = re.compile(r"[0-9]{1,9}"), re.compile(r"[0-9]{1,9}(\.[0-9]*)?|\.[0-9]+")
"""What users write, and no more: their pods must not bring the program to a number that nobody can read."""
_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
_PRINTING = frozenset({"echo", "printf", "date", "hostname", "env"})
_LONGEST = 1000
"""Characters of a script that is read; a longer one serves."""
_BETWEEN = re.compile(r"(&&|;|\n)")
_NEEDS_A_SHELL = re.compile(r"[|<>`()&]")
"""Pipes, redirections, subshells, what runs in the background."""


def ends(words: tuple[str, ...]) -> tuple[float, int] | None:
    """After how many seconds, and with which exit code, a command ends; None if it runs on."""
    match words:
        case (shell, "-c", script, *_) if shell.rpartition("/")[2] in _SHELLS:
            return _script(script) if len(script) <= _LONGEST else None
        case ("true", *_):
            return 0.0, 0
        case ("false", *_):
            return 0.0, 1
        case ("exit", code, *_) if _CODE.fullmatch(code):
            return 0.0, int(code) % 256
        case ("sleep", seconds, *_) if _SECONDS.fullmatch(seconds):
            return float(seconds), 0
        case (name, *_) if name in _PRINTING:
            return 0.0, 0
        case _:
            return None


def _script(text: str) -> tuple[float, int] | None:
    took, code = 0.0, 0
    parts = ["\n", *_BETWEEN.split(text)]
    for between, part in zip(parts[::2], parts[1::2], strict=True):
        words = tuple(part.split())
        if not words:
            continue
        found = None if _NEEDS_A_SHELL.search(part) else ends(words)
        if found is None:
            return None
        if between == "&&" and code:
            continue
        took, code = took + found[0], found[1]
        if words[0] == "exit":
            break
    return took, code
