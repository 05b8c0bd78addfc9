"""Installed packages that offer scheduler plugins, for a test's duration."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8slite.scheduler.plugins.outside import GROUP


def install(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *, package: str, code: str, plugins: dict[str, str]
) -> None:
    """A package of one module `package`; `plugins` maps names to what of the module makes them."""
    site = directory / f"site-{package}"
    site.mkdir()
    (site / f"{package}.py").write_text(code)
    information = site / f"{package}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {package}:{factory}\n" for name, factory in plugins.items())
    (information / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")
    monkeypatch.syspath_prepend(str(site))
