"""Which controllers a list of names asks for."""

from __future__ import annotations

import pytest

from k8slite.config import ConfigError
from k8slite.controllers.manager import load
from k8slite.controllers.registry import ALIASES, CONTROLLERS, NOT_HERE, OFF, enabled

EVERYTHING = [name for name in CONTROLLERS if name not in OFF]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["*"], EVERYTHING),
        ([], []),
        (["job-controller"], ["job-controller"]),
        (["podgc", "job"], ["pod-garbage-collector-controller", "job-controller"]),
        (["*", "-job"], [name for name in EVERYTHING if name != "job-controller"]),
        (["-job-controller", "*"], [name for name in EVERYTHING if name != "job-controller"]),
        (["-job", "job"], []),
        (["*", *sorted(OFF & CONTROLLERS.keys())], list(CONTROLLERS)),
    ],
)
def test_a_list_of_names_asks_for(wanted: list[str], names: list[str]) -> None:
    assert enabled(wanted) == names


@pytest.mark.parametrize("name", ["jobs", "-jobs", ""])
def test_a_name_of_nobody_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown {name.removeprefix('-')}; there are .*job-controller"):
        enabled(["*", name])


@pytest.mark.parametrize("name", [*NOT_HERE, "route"])
def test_who_is_not_here_may_be_left_out_but_not_asked_for(name: str) -> None:
    assert enabled(["*", f"-{name}"]) == EVERYTHING
    with pytest.raises(ConfigError, match=f"there is no {ALIASES.get(name, name)}: "):
        enabled([name])


def test_everything_can_be_loaded() -> None:
    assert {CONTROLLERS[name] for name in load(list(CONTROLLERS))} == set(CONTROLLERS.values())


def test_old_names_stand_for_new_ones() -> None:
    assert not ALIASES.keys() & CONTROLLERS.keys()
    assert {*ALIASES.values()} <= CONTROLLERS.keys() | NOT_HERE.keys()
