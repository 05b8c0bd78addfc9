"""Removing what pods have left, whatever they made of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from k8slite.kubelet.volumes import VolumeFault, mounts, trees


def deep(path: Path, *, levels: int) -> Path:
    """A directory in a directory in a directory: deeper than any path can name."""
    path.mkdir()
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    return path


def test_no_depth_is_too_deep(tmp_path: Path) -> None:
    root = deep(tmp_path / "root", levels=5000)
    trees.remove(root)
    assert not root.exists()
    trees.remove(root)  # once more: a removal that was told of twice


def test_what_links_lead_to_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("theirs")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "folder").symlink_to(theirs)
    (root / "a" / "b" / "file").symlink_to(theirs / "file")
    (root / "a" / os.fsdecode(b"\xff")).write_text("no text")
    os.mkfifo(root / "a" / "pipe")
    trees.remove(root)
    assert not root.exists()
    assert (theirs / "file").read_text() == "theirs"
    (tmp_path / "link").symlink_to(theirs)
    with pytest.raises(VolumeFault, match="link"):
        trees.remove(tmp_path / "link")
    assert (theirs / "file").exists()


def test_what_is_mounted_inside_is_never_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("theirs")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    descriptor = os.open(theirs, os.O_RDONLY)
    mounts.bind(descriptor, root / "a" / "b")
    os.close(descriptor)
    with monkeypatch.context() as late:  # mounted just after all mounts were looked for
        late.setattr(mounts, "unmount_all", lambda _: None)
        with pytest.raises(VolumeFault, match="busy"):
            trees.remove(root)
    assert (theirs / "file").exists()
    trees.remove(root)
    assert not root.exists()
    assert (theirs / "file").read_text() == "theirs"
