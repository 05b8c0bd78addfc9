"""What pip and PyPI get: the wheel and the sdist hold every program, each once, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[3]
PROGRAMS = ("apiserver", "scheduler", "controllers", "kubelet", "proxy", "cli")


def package_files() -> set[str]:
    """What the package consists of in this check-out, by its name in the wheel."""
    found = {f"k8slite/examples/{path.name}" for path in (ROOT / "deploy" / "examples").iterdir()}
    for folder in ("k8slite", *PROGRAMS):
        for path in (ROOT / folder).rglob("*"):  # does not follow the links to the programs
            if path.is_file() and path.suffix != ".pyc":
                name = str(path.relative_to(ROOT))
                found.add(name if folder == "k8slite" else f"k8slite/{name}")
    return found


def wheel(source: Path, target: Path) -> Path:
    return Path(next(WheelBuilder(str(source)).build(directory=str(target), versions=["standard"])))


def names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        return {name for name in opened.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked into a directory whose name has a space."""
    directory = tmp_path_factory.mktemp("source") / "with space"
    archive = next(SdistBuilder(str(ROOT)).build(directory=str(directory)))
    with tarfile.open(archive) as opened:
        assert not [member.name for member in opened.getmembers() if member.issym() or member.islnk()]
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python has none yet
        opened.extractall(directory)
    return next(path for path in directory.iterdir() if path.is_dir())


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    assert names(built) == package_files()


def test_a_wheel_from_the_sdist_is_the_same(built: Path, unpacked: Path, tmp_path: Path) -> None:
    assert names(wheel(unpacked, tmp_path)) == names(built)


def test_the_sdist_holds_what_a_packager_reads(unpacked: Path) -> None:
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "docs"} <= {
        path.name for path in unpacked.iterdir()
    }


def test_the_command_runs_from_the_wheel_alone(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built) as opened:
        opened.extractall(tmp_path)
    script = "import k8slite.cli.cluster.example as e, k8slite.programs as p; [x.load() for x in p.PROGRAMS.values()]"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(e.__file__, len(e.manifests()) > 1000)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "k8slite" / "cli" / "cluster" / "example.py"), "True"]
