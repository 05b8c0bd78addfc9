"""What one metric asks for: upstream's cases as facts, and what must hold whatever is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.horizontalpodautoscaler.pods import Delays, Sample, Unknown
from k8slite.controllers.horizontalpodautoscaler.proposals import (
    LARGEST_USAGE,
    MOST,
    Proposal,
    Rules,
    Tolerances,
    Workload,
    by_average,
    by_share,
    by_utilization,
    by_value,
    total,
)
from k8slite.controllers.pods import Pod

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULES = Rules(Tolerances(), Delays(timedelta(minutes=2), timedelta(seconds=10)))
HOT, COOL = NOW - timedelta(seconds=30), NOW - timedelta(seconds=130)
"""Started within the period in which processor time counts only while a pod is ready, and before it."""
WARM = NOW - timedelta(seconds=90)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def pod(
    name: str,
    *,
    phase: str = "Running",
    ready: bool | None = True,
    since: datetime = EPOCH,
    started: datetime | None = COOL,
    deleting: bool = False,
    requests: Sequence[dict[str, Any] | None] = ({"cpu": "1"}, {"cpu": "1"}),
    **spec: Any,
) -> Pod:
    containers = [
        {"name": f"container{number}", "resources": {"requests": asked} if asked is not None else {}}
        for number, asked in enumerate(requests, 1)
    ]
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": since}
    return Pod.model_validate(
        {
            "metadata": {"name": name, "namespace": "default"} | ({"deletionTimestamp": NOW} if deleting else {}),
            "spec": {"containers": containers, **spec},
            "status": {"phase": phase, "startTime": started, "conditions": [condition] if ready is not None else []},
        }
    )


def samples(values: Sequence[int]) -> dict[str, Sample]:
    return {f"pod-{number}": Sample(value, NOW, timedelta(minutes=1)) for number, value in enumerate(values)}


@dataclass
class Case:
    """Pods `pod-0` and on, of two containers; `levels` are what each container of a pod uses."""

    replicas: int
    levels: Sequence[int]
    target: int
    expected: int
    utilization: int
    pods: dict[int, dict[str, Any]] = field(default_factory=dict)
    count: int = 0
    request: str = "1"
    resource: str = "cpu"

    @property
    def workload(self) -> Workload:
        asked = [{self.resource: self.request}] * 2
        number = max(self.count, self.replicas)
        made = [pod(f"pod-{each}", requests=asked, **self.pods.get(each, {})) for each in range(number)]
        return Workload(made, self.replicas, self.replicas)


UNREADY, PENDING = {"ready": False}, {"ready": False, "phase": "Pending"}
FAILED, LEAVING = {"ready": False, "phase": "Failed"}, {"ready": False, "deleting": True}
BOILING = {"started": HOT, "since": HOT}

UTILIZATION = {
    "up": Case(3, [300, 500, 700], 30, 5, 50),
    "up, one unready": Case(3, [300, 500, 700], 30, 4, 60, {0: UNREADY}),
    "up, one starting": Case(3, [300, 500, 700], 30, 4, 60, {0: BOILING}),
    "up, unready pods stop it": Case(3, [400, 500, 700], 30, 3, 40, {1: UNREADY, 2: UNREADY}),
    "up, starting pods stop it": Case(
        3, [400, 500, 700], 30, 3, 40, {1: {"started": HOT, "ready": False}, 2: {"started": HOT, "ready": False}}
    ),
    "up, failed pods do not count": Case(2, [500, 700], 30, 4, 60, {2: FAILED, 3: FAILED}, count=4),
    "up, leaving pods do not count": Case(2, [500, 700], 30, 4, 60, {2: LEAVING, 3: LEAVING}, count=4),
    "down": Case(5, [100, 300, 500, 250, 250], 50, 3, 28),
    "down, unready pods do not count": Case(5, [100, 300, 500, 250, 250], 50, 2, 30, {3: UNREADY, 4: UNREADY}),
    "down, starting pods do not count": Case(5, [100, 300, 500, 250, 250], 50, 2, 30, {3: BOILING, 4: BOILING}),
    "down, pods without a node do not count": Case(5, [100], 50, 1, 10, dict.fromkeys(range(1, 5), PENDING)),
    "within tolerance": Case(3, [900, 1000, 1200], 100, 3, 103),
    "at the tolerance above": Case(4, [110] * 4, 10, 4, 11),
    "above the tolerance": Case(4, [120] * 4, 10, 5, 12),
    "one missing, still up": Case(4, [500, 500, 500], 20, 8, 50, count=4),
    "one missing stops going up": Case(2, [1000], 100, 2, 100),
    "one missing stops going down": Case(2, [100], 100, 2, 10),
    "missing, target above the request": Case(4, [1000] * 3, 200, 3, 100),
    "unready and missing": Case(4, [450, 450], 50, 4, 45, {2: UNREADY}),
    "memory of unready pods counts": Case(3, [300, 500, 700], 30, 5, 50, {0: UNREADY}, resource="memory", request="1"),
}


@pytest.mark.parametrize("name", UTILIZATION)
def test_a_utilization_asks_for_as_many_as_upstream_says(name: str) -> None:
    case = UTILIZATION[name]
    measured = samples([2 * level for level in case.levels])
    found = by_utilization(measured, case.target, workload=case.workload, rules=RULES, resource=case.resource, now=NOW)
    assert (found.replicas, found.utilization) == (case.expected, case.utilization)


AVERAGE = {
    "up": (3, [20, 10, 30], 15, {}, 4, 20),
    "up, unready pods count": (3, [50, 10, 30], 15, {0: UNREADY, 2: UNREADY}, 6, 30),
    "down, pending pods do not count": (3, [50, 10, 30], 15, {0: PENDING, 2: PENDING}, 1, 10),
    "down": (5, [12] * 5, 20, {}, 3, 12),
    "failed pods do not count": (2, [50, 10], 20, {2: FAILED}, 3, 30),
    "within tolerance": (3, [20, 21, 22], 20, {}, 3, 21),
    "one missing stops going down": (3, [10, 10], 15, {}, 3, 10),
    "one missing, less down": (4, [1, 1, 1], 15, {}, 2, 1),
    "one missing, up": (2, [100], 15, {}, 7, 100),
}


@pytest.mark.parametrize("name", AVERAGE)
def test_an_average_asks_for_as_many_as_upstream_says(name: str) -> None:
    replicas, levels, target, special, expected, average = AVERAGE[name]
    number = max([replicas, *(each + 1 for each in special)])
    made = [pod(f"pod-{each}", **special.get(each, {})) for each in range(number)]
    measured = samples([level * 1000 for level in levels])
    found = by_average(measured, target * 1000, workload=Workload(made, replicas, replicas), rules=RULES, now=NOW)
    assert found == Proposal(expected, average * 1000)


@pytest.mark.parametrize(
    ("usage", "target", "replicas", "special", "expected"),
    [
        (20, 15, 3, {}, 4),
        (20, 15, 0, {}, 2),  # nobody there: as if one were
        (1, 15, 0, {}, 1),
        (0, 15, 0, {}, 0),
        (0, 15, 3, {}, 0),
        (12, 20, 5, {}, 3),
        (26, 20, 3, {0: UNREADY, 2: UNREADY}, 2),
        (21, 20, 3, {}, 3),
        (1 << 60, 1, 3, {}, MOST),
    ],
)
def test_a_value_is_lowered_by_those_that_are_ready(
    usage: int, target: int, replicas: int, special: dict[int, Any], expected: int
) -> None:
    workload = Workload([pod(f"pod-{each}", **special.get(each, {})) for each in range(replicas)], replicas, replicas)
    assert by_value(usage, target, workload=workload, rules=RULES) == Proposal(expected, usage)


@pytest.mark.parametrize(
    ("usage", "target", "wished", "there", "expected", "share"),
    [
        (8600, 2150, 3, 3, 4, 2867),
        (8600, 2150, 4, 4, 4, 2150),
        (8600, 2200, 4, 4, 4, 2150),
        (8600, 4300, 4, 4, 2, 2150),
        (5000, 1000, 0, 0, 5, 5000),  # nobody to share it
        (0, 1000, 0, 0, 0, 0),
        (3000, 1000, 2, 3, 2, 1000),  # a rollout's surge is no wish
        (LARGEST_USAGE, 1, 1, 1, MOST, LARGEST_USAGE),
    ],
)
def test_a_shared_value_is_divided_by_those_that_there_are(
    usage: int, target: int, wished: int, there: int, expected: int, share: int
) -> None:
    found = by_share(usage, target, workload=Workload([], wished, there), rules=RULES)
    assert found == Proposal(expected, share)


def test_the_sum_of_what_is_outside_has_an_end() -> None:
    assert total([LARGEST_USAGE, 1]) == LARGEST_USAGE
    assert total([1, 2]) == 3


def test_tolerances_of_each_direction() -> None:
    rules = Rules(Tolerances(down=0.0, up=0.5), RULES.delays)
    made = Workload([pod("pod-0"), pod("pod-1")], 2, 2)
    assert by_average(samples([1400, 1400]), 1000, workload=made, rules=rules, now=NOW).replicas == 2
    assert by_average(samples([1600, 1600]), 1000, workload=made, rules=rules, now=NOW).replicas == 4
    assert by_average(samples([499, 499]), 1000, workload=made, rules=rules, now=NOW).replicas == 1


def test_requests_are_those_of_all_lasting_containers_or_of_the_pod() -> None:
    sidecar = {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}
    first = {"name": "first", "resources": {"requests": {"cpu": "9"}}}
    made = pod("pod-0", initContainers=[sidecar, first])
    workload = Workload([made], 1, 1)
    found = by_utilization(samples([2500]), 100, workload=workload, rules=RULES, resource="cpu", now=NOW)
    assert found.utilization == 100
    found = by_utilization(
        samples([250]), 50, workload=workload, rules=RULES, resource="cpu", container="side", now=NOW
    )
    assert found.utilization == 50
    whole = pod("pod-0", requests=[None, None], resources={"requests": {"cpu": "4"}}, overhead={"cpu": "1"})
    found = by_utilization(samples([2500]), 50, workload=Workload([whole], 1, 1), rules=RULES, resource="cpu", now=NOW)
    assert found.utilization == 50


@pytest.mark.parametrize("special", [LEAVING, FAILED])
def test_who_does_not_count_need_not_ask_for_anything(special: dict[str, Any]) -> None:
    """The rollout that adds requests leaves pods without any for as long as they take to end."""
    made = [pod("pod-0"), pod("pod-1", requests=[None, None], **special)]
    found = by_utilization(
        samples([2000, 9000]), 50, workload=Workload(made, 1, 1), rules=RULES, resource="cpu", now=NOW
    )
    assert (found.replicas, found.utilization) == (2, 100)


@pytest.mark.parametrize(
    ("made", "measured", "container", "words"),
    [
        ([], [1], "", "no pods returned by selector while calculating replica count"),
        ([pod("pod-0", ready=False)], [1], "", "did not receive metrics for targeted pods (pods might be unready)"),
        ([pod("pod-0", ready=None)], [1], "", "did not receive metrics for targeted pods (pods might be unready)"),
        ([pod("pod-0", started=None)], [1], "", "did not receive metrics for targeted pods (pods might be unready)"),
        (
            [pod("pod-0", requests=[{"cpu": "1"}, {}])],
            [1],
            "",
            "missing request for cpu in container container2 of Pod pod-0",
        ),
        ([pod("pod-0")], [1], "other", "container other not found in Pod pod-0"),
        (
            [pod("pod-0", requests=[{}], resources={"requests": {"memory": "1"}})],
            [1],
            "",
            "missing pod-level request for cpu in Pod pod-0",
        ),
        ([pod("other")], [1], "", "no metrics returned matched known pods"),
    ],
)
def test_what_cannot_be_told(made: list[Pod], measured: list[int], container: str, words: str) -> None:
    with pytest.raises(Unknown) as error:
        by_utilization(
            samples(measured),
            50,
            workload=Workload(made, 1, 1),
            rules=RULES,
            resource="cpu",
            container=container,
            now=NOW,
        )
    assert str(error.value) == words


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        (pod("pod-0", started=WARM, since=NOW - timedelta(seconds=60)), True),
        (pod("pod-0", started=WARM, since=NOW - timedelta(seconds=59)), False),  # less than a window ago
        (pod("pod-0", started=WARM, since=WARM, ready=False), False),
        (pod("pod-0", started=COOL, since=NOW), True),
        (pod("pod-0", started=COOL, since=COOL + timedelta(seconds=9), ready=False), False),  # never was ready
        (pod("pod-0", started=COOL, since=COOL + timedelta(seconds=11), ready=False), True),
    ],
)
def test_processor_time_of_a_start_is_no_load(made: Pod, counts: bool) -> None:
    measured, workload = samples([2000]), Workload([made], 1, 1)
    try:
        found = by_utilization(measured, 100, workload=workload, rules=RULES, resource="cpu", now=NOW)
        assert counts and found.utilization == 100
    except Unknown:
        assert not counts


LEVELS = st.lists(st.integers(0, 4000), min_size=1, max_size=12)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Workload, dict[str, Sample]]:
    """Pods of all sorts, some of them measured."""
    sorts = st.sampled_from([{}, {}, {}, UNREADY, PENDING, FAILED, LEAVING, BOILING])
    special = draw(st.lists(sorts, min_size=1, max_size=12))
    made = [pod(f"pod-{number}", **kind) for number, kind in enumerate(special)]
    measured = {one.name: Sample(draw(st.integers(0, 8000)), NOW, timedelta(minutes=1)) for one in made}
    for one in made:
        if draw(st.integers(0, 4)) == 0:
            del measured[one.name]
    replicas = draw(st.integers(1, 14))
    return Workload(made, replicas, replicas), measured


@given(fleet=fleets(), target=st.integers(1, 200), raised=st.integers(1, 5000))
def test_more_use_never_asks_for_fewer(fleet: tuple[Workload, dict[str, Sample]], target: int, raised: int) -> None:
    workload, measured = fleet
    more = {name: Sample(one.value + raised, one.at, one.window) for name, one in measured.items()}

    def asked(values: dict[str, Sample]) -> int | None:
        try:
            found = by_utilization(values, target, workload=workload, rules=RULES, resource="cpu", now=NOW)
        except Unknown:
            return None
        return found.replicas

    before, after = asked(measured), asked(more)
    assert (before is None) == (after is None)
    if before is not None and after is not None and not uneven(workload, measured):
        assert after >= before


def uneven(workload: Workload, measured: dict[str, Sample]) -> bool:
    """Whether there are more or fewer pods that count than replicas: then upstream goes back to these at the
    tolerance, which may be more or fewer than what is asked for beside it.
    """
    counting = [one for one in workload.pods if not one.deleting and one.status.phase != "Failed"]
    silent = [one for one in counting if one.name not in measured or not one.ready or one.status.start_time == HOT]
    return len(counting) != workload.replicas or bool(silent)


@given(levels=LEVELS, target=st.integers(1, 4000))
def test_where_all_pods_count_the_documented_formula_holds(levels: list[int], target: int) -> None:
    """`ceil(replicas * current / target)`, where the difference is more than the tolerance."""
    replicas = len(levels)
    workload = Workload([pod(f"pod-{number}") for number in range(replicas)], replicas, replicas)
    found = by_average(samples(levels), target, workload=workload, rules=RULES, now=NOW)
    ratio = (sum(levels) // replicas) / target
    within = 0.9 <= ratio <= 1.1
    assert found.replicas == (replicas if within else math.ceil(ratio * replicas))
    if within:
        assert found.replicas == workload.replicas


@given(fleet=fleets(), target=st.integers(1, 4000))
def test_who_was_not_measured_never_turns_a_proposal_round(
    fleet: tuple[Workload, dict[str, Sample]], target: int
) -> None:
    workload, measured = fleet
    known = Workload(
        [one for one in workload.pods if one.name in measured], workload.replicas, workload.status_replicas
    )
    try:
        without = by_average(measured, target, workload=known, rules=RULES, now=NOW)
        found = by_average(measured, target, workload=workload, rules=RULES, now=NOW)
    except Unknown:
        return
    if len(known.pods) == len(workload.pods):
        assert found == without
        return
    ratio = found.value / target
    if ratio > 1:
        assert found.replicas >= workload.replicas or found.replicas == without.replicas
    elif ratio < 1:
        assert found.replicas <= max(workload.replicas, without.replicas)
