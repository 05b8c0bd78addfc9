"""What must not enter the repository: junk, big files, paths of somebody's machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
BIGGEST = 500_000
#: Home directories and the mounts of build machines.
MACHINE_PATH = re.compile(rb"(?<![\w.~:}])/(?:home|Users|mnt|workspace|builds|runner)/[\w.-]+/")


def listed(*options: str) -> list[Path]:
    """Files that git knows; none outside a check-out (an unpacked archive)."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", *options], capture_output=True, text=True)
    return [ROOT / name for name in done.stdout.split("\0") if name] if done.returncode == 0 else []


def plain_files() -> list[Path]:
    return [path for path in listed() if path.is_file() and not path.is_symlink()]


def test_nothing_that_is_ignored_is_tracked() -> None:
    assert listed("--cached", "--ignored", "--exclude-standard") == []


def test_no_file_is_big() -> None:
    assert [path for path in plain_files() if path.stat().st_size > BIGGEST] == []


def test_no_file_names_a_path_of_a_machine() -> None:
    assert [path for path in plain_files() if MACHINE_PATH.search(path.read_bytes())] == []


def test_every_link_stays_inside() -> None:
    links = [path for path in listed() if path.is_symlink()]
    assert [path for path in links if not path.resolve(strict=True).is_relative_to(ROOT.resolve())] == []


def test_scripts_can_be_run() -> None:
    scripts = [path for path in plain_files() if path.read_bytes()[:2] == b"#!"]
    assert [path for path in scripts if not path.stat().st_mode & 0o111] == []
