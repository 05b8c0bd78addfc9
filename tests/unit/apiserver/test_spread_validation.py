from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.validation.spreading import spread_constraints

GOOD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
SELECTOR = {"labelSelector": {"matchLabels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        pytest.param({}, [], id="the least"),
        pytest.param({"minDomains": 2, "nodeTaintsPolicy": "Honor", "matchLabelKeys": ["x"]} | SELECTOR, [], id="all"),
        pytest.param({"maxSkew": 0}, ["maxSkew"], id="no skew"),
        pytest.param({"topologyKey": ""}, ["topologyKey"], id="no key"),
        pytest.param({"topologyKey": "a b"}, ["topologyKey"], id="not a label"),
        pytest.param({"whenUnsatisfiable": "Never"}, ["whenUnsatisfiable"], id="unknown action"),
        pytest.param({"minDomains": 0}, ["minDomains"], id="no domain"),
        pytest.param({"minDomains": 2, "whenUnsatisfiable": "ScheduleAnyway"}, ["minDomains"], id="soft"),
        pytest.param({"nodeAffinityPolicy": "Maybe"}, ["nodeAffinityPolicy"], id="unknown policy"),
        pytest.param({"matchLabelKeys": ["x"]}, ["matchLabelKeys"], id="keys without a selector"),
        pytest.param({"matchLabelKeys": ["x y"]} | SELECTOR, ["matchLabelKeys[0]"], id="not a label key"),
        pytest.param(
            {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}},
            ["labelSelector.matchExpressions[0].operator"],
            id="unknown operator",
        ),
    ],
)
def test_one_constraint(change: dict[str, Any], fields: list[str]) -> None:
    found = [cause.field for cause in spread_constraints([GOOD | change], "spec.c")]
    assert found == [f"spec.c[0].{field}" for field in fields]


def test_the_same_key_twice() -> None:
    assert spread_constraints([GOOD, GOOD | {"whenUnsatisfiable": "ScheduleAnyway"}], "c") == []
    (cause,) = spread_constraints([GOOD, GOOD], "c")
    assert "zone, DoNotSchedule" in cause.message
