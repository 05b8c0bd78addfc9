"""The three-way comparison behind `apply`, as a table and as properties; the server's own patch code carries it out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.patch import merge, strategic
from k8slite.cli.verbs.threeway import patch
from k8slite.schema import TypeFacts, builtin_facts

DEPLOYMENT = builtin_facts().by_kind("apps", "v1", "Deployment")
POD = builtin_facts().by_kind("", "v1", "Pod")
SERVICE = builtin_facts().by_kind("", "v1", "Service")


@pytest.mark.parametrize(
    ("live", "wanted", "previous", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1}, {"a": 1}, {}, id="nothing differs"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"a": 1}, {}, id="what others set stays"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}, {"b": None}, id="what left the manifest goes"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, id="what differs is set"),
        pytest.param({"a": 3}, {"a": 1}, {"a": 1}, {"a": 1}, id="drift is undone"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"x": 5}}, {}, {"a": {"x": 5}}, id="only the inner difference"),
        pytest.param({"l": [{"n": 1, "d": 0}]}, {"l": [{"n": 1}]}, {}, {}, id="defaults in lists are no change"),
        pytest.param({"l": [{"n": 1}]}, {"l": [{"n": 2}]}, {}, {"l": [{"n": 2}]}, id="lists are replaced whole"),
        pytest.param({"l": [1, 2]}, {"l": [1]}, {}, {"l": [1]}, id="a shorter list"),
        pytest.param({"a": 1}, {"a": None}, {}, {"a": None}, id="null removes what is there"),
        pytest.param({}, {"a": None}, {}, {}, id="null of what is not there is nothing"),
        pytest.param({"m": {"k": "v"}}, {"m": {}}, {"m": {"k": "v"}}, {"m": {"k": None}}, id="an emptied map"),
        pytest.param({"m": {"k": "v"}}, {"m": {}}, {}, {}, id="an empty map leaves what others put in"),
        pytest.param({}, {"m": {}}, {}, {"m": {}}, id="an empty map that is not there"),
        pytest.param({"creationTimestamp": "x"}, {"creationTimestamp": None}, {}, {}, id="generated manifests"),
        pytest.param({"a": True}, {"a": 1}, {}, {"a": 1}, id="true is not 1"),
        pytest.param({"a": [1]}, {"a": {"b": 1}}, {"a": [1]}, {"a": {"b": 1}}, id="another shape"),
    ],
)
def test_without_a_type(live: Any, wanted: Any, previous: Any, expected: Any) -> None:
    assert patch(live, wanted, previous, None) == expected


def applied(facts: TypeFacts | None, live: Any, wanted: Any, previous: Any) -> Any:
    """The live object after the patch; and that applying once more changes nothing."""
    after = strategic.apply(live, patch(live, wanted, previous, facts), facts)
    assert patch(after, wanted, wanted, facts) == {}
    return after


def pod(*containers: Any, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


def test_a_container_that_somebody_else_injected_stays() -> None:
    mine, sidecar = {"name": "web", "image": "a:1"}, {"name": "proxy", "image": "p:1"}
    after = applied(POD, pod(mine, sidecar), pod({"name": "web", "image": "a:2"}), pod(mine))
    assert after == pod({"name": "web", "image": "a:2"}, sidecar)


def test_a_container_that_left_the_manifest_goes() -> None:
    one, two = {"name": "one", "image": "a"}, {"name": "two", "image": "b"}
    assert applied(POD, pod(one, two), pod(one), pod(one, two)) == pod(one)


def test_fields_that_the_server_or_others_set_inside_an_item_stay() -> None:
    live = {"name": "web", "image": "a:1", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": "1"}}}
    after = applied(POD, pod(live), pod({"name": "web", "image": "a:2"}), pod({"name": "web", "image": "a:1"}))
    assert after == pod({**live, "image": "a:2"})


def test_an_environment_variable_changes_from_a_value_to_a_reference() -> None:
    reference = {"configMapKeyRef": {"name": "c", "key": "k"}}
    before = pod({"name": "web", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    wanted = pod({"name": "web", "env": [{"name": "B", "valueFrom": reference}]})
    assert applied(POD, before, wanted, before) == wanted


def test_a_volume_changes_its_source_though_nothing_is_known_of_the_last_manifest() -> None:
    live = pod({"name": "w"}, volumes=[{"name": "data", "emptyDir": {}}])
    wanted = pod({"name": "w"}, volumes=[{"name": "data", "configMap": {"name": "c"}}])
    assert applied(POD, live, wanted, {}) == wanted


def test_a_deployments_strategy_changes_and_takes_its_defaults_along() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}}
    after = applied(DEPLOYMENT, live, {"spec": {"strategy": {"type": "Recreate"}}}, {})
    assert after == {"spec": {"strategy": {"type": "Recreate"}}}


def test_ports_of_one_number_and_two_protocols() -> None:
    def service(*ports: tuple[str, str, int]) -> dict[str, Any]:
        return {"spec": {"ports": [{"name": n, "protocol": p, "port": number} for n, p, number in ports]}}

    both = service(("dns", "UDP", 53), ("dns-tcp", "TCP", 53))
    assert patch(both, both, both, SERVICE) == {}
    assert applied(SERVICE, service(("dns", "UDP", 53)), both, {}) == both
    assert applied(SERVICE, both, service(("dns", "UDP", 53)), both) == service(("dns", "UDP", 53))


def test_the_manifests_order_holds() -> None:
    one, two = {"name": "one"}, {"name": "two"}
    assert applied(POD, pod(one, two), pod(two, one), pod(one, two)) == pod(two, one)


def test_finalizers_of_others_stay_and_ours_go() -> None:
    live = {"metadata": {"finalizers": ["theirs", "ours"]}}
    after = applied(POD, live, {"metadata": {"finalizers": []}}, {"metadata": {"finalizers": ["ours"]}})
    assert after == {"metadata": {"finalizers": ["theirs"]}}


documents = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


@given(live=documents, wanted=documents, previous=documents)
def test_applying_twice_changes_nothing_more(live: Any, wanted: Any, previous: Any) -> None:
    after = merge.apply(live, patch(live, wanted, previous, None))
    assert patch(after, wanted, wanted, None) == {}


names = st.sampled_from(["a", "b", "c"])
items = st.lists(
    st.fixed_dictionaries({"name": names, "image": st.text(max_size=2)}, optional={"tty": st.booleans()}),
    max_size=3,
    unique_by=lambda item: item["name"],
)


@given(live=items, wanted=items, previous=items)
def test_applying_lists_twice_changes_nothing_more_and_brings_all_that_is_wanted(
    live: Any, wanted: Any, previous: Any
) -> None:
    after = applied(POD, pod(*live), pod(*wanted), pod(*previous))["spec"]["containers"]
    found = {item["name"]: item for item in after}
    assert all(item.items() <= found[item["name"]].items() for item in wanted)
    ours = {item["name"] for item in wanted + previous}
    assert {item["name"] for item in after} - ours == {item["name"] for item in live} - ours
