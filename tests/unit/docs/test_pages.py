"""The pages for people: links lead somewhere, and every `k8slite` line in them is one that the command understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from k8slite.cli.main import root

ROOT = Path(__file__).parents[3]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


def command_lines(text: str) -> list[list[str]]:
    """The words after `k8slite` of every line in a code block and of every piece of code in a sentence."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    candidates = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)
    found = [re.match(r"(?:\$ )?(?:sudo )?k8slite ((?:-?[a-z]).*)", line.strip()) for line in candidates]
    return [shlex.split(re.split(r" [>|] ", match[1])[0], comments=True) for match in found if match]


def complaint(words: list[str]) -> str:
    """What is wrong with a command line; empty if nothing. Words that stand for something (`N`, `…`) are fine."""
    command: click.Command = root
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        child = command.get_command(click.Context(command), words[0])
        if child is None:
            return "" if not words[0].isascii() or not words[0].islower() else f"no command {words[0]}"
        command, words = child, words[1:]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {
        "--",
        "-h",
        "--help",
        "--version",
    }
    given = [word.partition("=")[0] for word in words[: words.index("--") if "--" in words else None]]
    return ", ".join(
        f"no option {word}" for word in given if word.startswith("--") and word not in known and word.isascii()
    )


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_files_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`((?:docs|k8slite|scripts|tests|deploy|benchmarks)/[\w./-]+\.\w+)`", path.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_command_lines_are_understood(path: Path) -> None:
    lines = command_lines(path.read_text())
    assert {" ".join(words): told for words in lines if (told := complaint(words))} == {}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("up --simulate 3 # three", ""),
        ("exec -it web -- ls --all", ""),
        ("up --nonsense 3", "no option --nonsense"),
        ("fly", "no command fly"),
    ],
)
def test_a_wrong_command_line_would_be_found(line: str, told: str) -> None:
    assert [complaint(words) for words in command_lines(f"```\n$ k8slite {line}\n```\n")] == [told]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=lambda path: path.stem)
def test_how_tos_are_short(path: Path) -> None:
    """But for programs that are shown whole."""
    text = re.sub(r"^```python\n.*?^```\n", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(text.splitlines()) <= 60
