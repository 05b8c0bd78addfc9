from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.patch import strategic
from k8slite.apiserver.patch.json import PatchError
from k8slite.schema import Schemas

POD = Schemas().type_of("", "v1", "Pod")
DEPLOYMENT = Schemas().type_of("apps", "v1", "Deployment")


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": {"containers": list(containers), **spec}}


A, B, C = ({"name": name, "image": name} for name in "abc")


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param([{"name": "a", "image": "new"}], [{"name": "a", "image": "new"}, B], id="by key"),
        pytest.param([C], [C, A, B], id="a new one comes first"),
        pytest.param([{"name": "a", "$patch": "delete"}], [B], id="deleted"),
        pytest.param([C, {"$patch": "replace"}], [C], id="replaced"),
        pytest.param([{"name": "a", "image": None}], [{"name": "a"}, B], id="null removes a field"),
    ],
)
def test_list_with_a_merge_key(patch: list[Any], expected: list[Any]) -> None:
    old = pod(A, B)
    assert strategic.apply(old, {"spec": {"containers": patch}}, POD) == pod(*expected)
    assert old == pod(A, B)


def test_set_element_order_places_new_elements() -> None:
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "c"}, {"name": "b"}],
            "containers": [C],
        }
    }
    assert strategic.apply(pod(A, B), patch, POD) == pod(A, C, B)


def test_set_element_order_alone_reorders() -> None:
    patch = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert strategic.apply(pod(A, B), patch, POD) == pod(B, A)


def test_list_without_a_merge_key_is_replaced() -> None:
    old = pod({"name": "a", "command": ["x", "y"]})
    patch = {"spec": {"containers": [{"name": "a", "command": ["z"]}]}}
    assert strategic.apply(old, patch, POD) == pod({"name": "a", "command": ["z"]})


def test_primitive_set_is_united_and_reduced() -> None:
    old = {"metadata": {"name": "a", "finalizers": ["x/1", "x/2"]}}
    added = strategic.apply(old, {"metadata": {"finalizers": ["x/3"]}}, POD)
    assert sorted(added["metadata"]["finalizers"]) == ["x/1", "x/2", "x/3"]
    removed = strategic.apply(added, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/1"]}}, POD)
    assert sorted(removed["metadata"]["finalizers"]) == ["x/2", "x/3"]


def test_map_replace_and_delete_directives() -> None:
    old = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeSelector": {"x": "y"}}}
    assert strategic.apply(old, {"metadata": {"labels": {"$patch": "replace", "c": "3"}}}, POD) == {
        "metadata": {"labels": {"c": "3"}},
        "spec": {"nodeSelector": {"x": "y"}},
    }
    gone = {"spec": {"nodeSelector": {"$patch": "delete"}, "securityContext": {"$patch": "delete"}}}
    assert strategic.apply(old, gone, POD)["spec"] == {"nodeSelector": {}}, "what is in it; by null it goes itself"


def test_retain_keys_drops_the_others() -> None:
    old = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic.apply(old, patch, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_volumes_change_their_source() -> None:
    old = pod(A, volumes=[{"name": "v", "emptyDir": {}}])
    patch = {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}}
    assert strategic.apply(old, patch, POD)["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "does not contain declared merge key: name"),
        ({"$patch": "explode"}, "directive"),
        ({"spec": {"$retainKeys": ["hostname"], "nodeName": "n"}}, "invalid patch format of retainKeys"),
        ({"spec": {"$retainKeys": "hostname"}}, "invalid patch format of retainKeys"),
        ({"spec": {"$setElementOrder/containers": "a"}}, "invalid patch format of setElementOrder list"),
        ({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [C]}}, "The order in patch list"),
        (
            {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [A, B]}},
            "The order in patch list",
        ),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": "x"}}, "invalid patch format of primitive list"),
    ],
)
def test_refusals(patch: Any, words: str) -> None:
    with pytest.raises(PatchError, match=words) as refused:
        strategic.apply(pod(A), patch, POD)
    assert refused.value.code == 400


def test_order_names_elements_that_the_patch_leaves_alone_deletes_or_nobody_has() -> None:
    order = [{"name": name} for name in "cxa"]
    patch = {"spec": {"$setElementOrder/containers": order, "containers": [C, {"name": "b", "$patch": "delete"}]}}
    assert strategic.apply(pod(A, B), patch, POD) == pod(C, A)


def test_retained_keys_may_be_named_with_directives_and_nulls() -> None:
    old = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": None}}}
    assert strategic.apply(old, patch, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}


names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(names, names)
def test_merging_by_key_keeps_each_element_once(old: list[str], new: list[str]) -> None:
    before = pod(*({"name": name, "image": "old"} for name in old))
    after = strategic.apply(before, {"spec": {"containers": [{"name": n, "image": "new"} for n in new]}}, POD)
    found = {container["name"]: container["image"] for container in after["spec"]["containers"]}
    assert len(found) == len(after["spec"]["containers"])
    assert found == {**dict.fromkeys(old, "old"), **dict.fromkeys(new, "new")}
    untouched = [c["name"] for c in after["spec"]["containers"] if c["name"] not in new]
    assert untouched == [name for name in old if name not in new]
