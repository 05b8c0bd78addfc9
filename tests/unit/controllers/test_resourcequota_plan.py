"""What the quota controller counts, when, and what it writes of it."""

from __future__ import annotations

from typing import Any

from k8slite.controllers.resourcequota.counting import places
from k8slite.controllers.resourcequota.plan import STILL, due, rises, status
from k8slite.usage.amounts import amounts
from k8slite.usage.measures import Quota, read_quota


def quota(
    used: dict[str, str] | None, hard: dict[str, str] | None = None, *, shown: dict[str, str] | None = None
) -> Quota:
    wanted = hard or {"pods": "5", "secrets": "5"}
    said: dict[str, Any] = {"hard": wanted if shown is None else shown, "used": used or {}}
    return read_quota({"metadata": {"name": "q"}, "spec": {"hard": wanted}, "status": said})


def test_a_new_quota_is_counted_at_once() -> None:
    count = due(quota(None, shown={}), {}, now=10.0)
    assert count.names == {"pods", "secrets"} and count.later is None


def test_what_has_just_risen_is_counted_when_it_rests() -> None:
    count = due(quota({"pods": "3", "secrets": "1"}), {"pods": 9.9, "secrets": 5.0}, now=10.0)
    assert count.names == {"secrets"}
    assert count.later is not None and abs(count.later - (STILL - 0.1)) < 1e-9
    assert due(quota({"pods": "3", "secrets": "1"}), {"pods": 9.0}, now=10.0).names == {"pods", "secrets"}


def test_only_rises_count_as_such() -> None:
    assert rises(None, quota({"pods": "1", "secrets": "0"})) == {"pods"}
    assert rises(quota({"pods": "2", "secrets": "0"}), quota({"pods": "1", "secrets": "1"})) == {"secrets"}


def test_a_count_is_written_over_the_figure_it_was_begun_on() -> None:
    begun = quota({"pods": "3", "secrets": "2"})
    decided = status(begun, amounts({"pods": "1", "secrets": "2"}), begun=begun, uncountable=())
    assert decided.complete
    assert decided.patch == {"hard": {"pods": "5", "secrets": "5"}, "used": {"pods": "1", "secrets": "2"}}
    same = status(begun, amounts({"pods": "3", "secrets": "2"}), begun=begun, uncountable=())
    assert same.patch is None and same.complete


def test_what_was_charged_meanwhile_keeps_its_figure() -> None:
    begun, current = quota({"pods": "3", "secrets": "2"}), quota({"pods": "4", "secrets": "2"})
    decided = status(current, amounts({"pods": "1", "secrets": "0"}), begun=begun, uncountable=())
    assert not decided.complete
    assert decided.patch is not None and decided.patch["used"] == {"pods": "4", "secrets": "0"}


def test_the_status_forgets_what_the_spec_no_longer_names() -> None:
    current = quota({"pods": "1", "old": "3"}, {"pods": "7"}, shown={"pods": "5", "old": "9"})
    decided = status(current, amounts({"pods": "1"}), begun=current, uncountable=())
    assert decided.patch == {"hard": {"pods": "7", "old": None}, "used": {"pods": "1", "old": None}}


def test_what_nothing_counts_has_no_figure() -> None:
    current = quota({"count/odd.example.com": "2"}, {"count/odd.example.com": "5"})
    decided = status(current, {}, begun=current, uncountable={"count/odd.example.com"})
    assert decided.patch is not None and decided.patch["used"] == {"count/odd.example.com": None}
    assert decided.complete


def test_names_are_counted_where_they_belong() -> None:
    names = ["pods", "requests.a.b/gpu", "count/pods", "services.nodeports", "count/x.y.z", "secrets", "nothing"]
    names += [
        "gold.storageclass.storage.k8s.io/requests.storage",
        "g.deviceclass.resource.k8s.io/devices",
        "count/events",
    ]
    found = {place: sorted(own) for place, own in places(names).items()}
    assert found == {
        ("", "pods"): ["count/pods", "pods", "requests.a.b/gpu"],
        ("", "services"): ["services.nodeports"],
        ("y.z", "x"): ["count/x.y.z"],
        ("", "secrets"): ["secrets"],
        ("", "persistentvolumeclaims"): ["gold.storageclass.storage.k8s.io/requests.storage"],
        ("resource.k8s.io", "resourceclaims"): ["g.deviceclass.resource.k8s.io/devices"],
    }
