"""When the supervisor starts, ends and kills its programs, on invented clocks."""

from __future__ import annotations

from k8slite.cli.cluster.configs import Service
from k8slite.cli.cluster.slots import BACKOFF_FIRST, SETTLE, Action, Slot, due, next_moment


def slots(*names: str) -> list[Slot]:
    tiers = {"etcd": 0, "apiserver": 1}
    return [Slot(Service(name, tier=tiers.get(name, 2))) for name in names]


def running(*names: str, since: float = 0.0) -> list[Slot]:
    found = slots(*names)
    for number, slot in enumerate(found):
        slot.began(100 + number, since)
    return found


def told(found: list[Slot], now: float, *, stopping: bool = False) -> list[tuple[str, Action]]:
    """What is due, carried out as the supervisor does."""
    answer = []
    for slot, action in list(due(found, now=now, stopping=stopping)):
        answer.append((slot.service.name, action))
        if action is not Action.START:
            slot.kill_at = now + 10
    return answer


def test_everything_wanted_starts() -> None:
    assert told(slots("a", "b"), 0.0) == [("a", Action.START), ("b", Action.START)]


def test_what_runs_is_left_alone() -> None:
    found = running("a", "b")
    assert told(found, 50.0) == []
    assert next_moment(found, now=50.0, stopping=False) is None


def test_one_that_ends_is_started_again_after_its_delay() -> None:
    (slot,) = found = running("a")
    slot.ended(1, 100.0)
    assert told(found, 100.0) == []
    assert next_moment(found, now=100.0, stopping=False) == 100.0 + BACKOFF_FIRST
    assert told(found, 100.0 + BACKOFF_FIRST) == [("a", Action.START)]


def test_one_that_is_not_wanted_is_told_to_end_once_and_killed_after_the_grace() -> None:
    (slot,) = found = running("a")
    slot.wanted = False
    assert told(found, 5.0) == [("a", Action.END)]
    assert told(found, 14.9) == []
    assert next_moment(found, now=14.9, stopping=False) == 15.0
    assert told(found, 15.0) == [("a", Action.KILL)]
    slot.ended(-9, 15.1)
    assert told(found, 99.0) == []


def test_stopped_and_wanted_again_before_it_has_ended_it_starts_at_once() -> None:
    (slot,) = found = running("a")
    slot.wanted = False
    told(found, 1.0)
    slot.wanted = True
    slot.ended(0, 2.0)
    assert told(found, 2.0) == [("a", Action.START)]


def test_stopping_goes_tier_by_tier_from_the_top() -> None:
    found = running("etcd", "apiserver", "scheduler", "kubelet")
    by_name = {slot.service.name: slot for slot in found}
    assert told(found, 0.0, stopping=True) == [("scheduler", Action.END), ("kubelet", Action.END)]
    by_name["scheduler"].ended(0, 0.1)
    assert told(found, 0.1, stopping=True) == []
    by_name["kubelet"].ended(0, 0.2)
    assert told(found, 0.2, stopping=True) == [("apiserver", Action.END)]
    by_name["apiserver"].ended(0, 0.3)
    assert told(found, 0.3, stopping=True) == [("etcd", Action.END)]
    by_name["etcd"].ended(0, 0.4)
    assert told(found, 0.4, stopping=True) == []


def test_nothing_is_started_while_stopping() -> None:
    found = slots("a")
    assert told(found, 0.0, stopping=True) == []
    assert next_moment(found, now=0.0, stopping=True) is None


def test_stale_programs_are_replaced_one_by_one() -> None:
    first, second = found = running("a", "b", since=-100.0)
    first.stale = second.stale = True
    assert told(found, 0.0) == [("a", Action.END)]
    first.ended(0, 0.5)
    assert told(found, 0.5) == [("a", Action.START)]
    first.began(200, 0.5)
    assert told(found, 1.0) == []
    assert next_moment(found, now=1.0, stopping=False) == 0.5 + SETTLE
    assert told(found, 0.5 + SETTLE) == [("b", Action.END)]
    assert not first.stale


def test_one_that_keeps_failing_does_not_hold_up_the_renewal_of_others() -> None:
    failing, fine = found = running("a", "b", since=-100.0)
    fine.stale = True
    failing.started = -0.5
    failing.ended(1, 0.0)
    assert told(found, 0.01) == [("b", Action.END)]
