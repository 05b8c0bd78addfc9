"""What a kubelet may do to volumes: find those whose data it keeps, and let them go when they are to be removed."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.admission.node_restriction import NodeRestriction
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.authz.node import NodeAuthorizer
from k8slite.errors import ApiError
from k8slite.selectors import parse_label_selector

from .test_node import KUBELET, Objects
from .test_node_restriction import Allowing, admission, changed


def kept(name: str, node: str) -> dict[str, Any]:
    labels = {"k8slite.io/node": node} if node else {}
    return {"metadata": {"name": name, "labels": labels}, "spec": {}}


@pytest.mark.parametrize(
    ("verb", "name", "labels", "allowed"),
    [
        ("list", "", "k8slite.io/node=n1", True),
        ("watch", "", "k8slite.io/node=n1", True),
        ("watch", "", "k8slite.io/node=n1,a=b", True),
        ("list", "", "k8slite.io/node in (n1,n2)", False),
        ("list", "", "k8slite.io/node!=n2", False),
        ("list", "", "k8slite.io/node", False),
        ("list", "", "k8slite.io/node=n2", False),
        ("list", "", "", False),
        ("deletecollection", "", "k8slite.io/node=n1", False),
        ("get", "mine", "", True),
        ("patch", "mine", "", True),
        ("update", "mine", "", True),
        ("delete", "mine", "", False),
        ("patch", "theirs", "", False),
        ("patch", "nobodys", "", False),
        ("get", "theirs", "", False),
        ("create", "mine", "k8slite.io/node=n1", False),
    ],
)
async def test_a_kubelet_sees_and_patches_the_volumes_that_it_keeps(
    verb: str, name: str, labels: str, allowed: bool
) -> None:
    objects = Objects()
    for each, node in (("mine", "n1"), ("theirs", "n2"), ("nobodys", "")):
        objects.put(kept(each, node), "persistentvolumes")
    selector = parse_label_selector(labels)
    asked = Attributes(KUBELET, verb, resource="persistentvolumes", name=name, labels=selector)
    decision, _ = await NodeAuthorizer(objects).authorize(asked)
    assert (decision is Decision.ALLOW) is allowed


async def test_the_status_of_a_volume_is_none_of_its_business() -> None:
    objects = Objects()
    objects.put(kept("mine", "n1"), "persistentvolumes")
    asked = Attributes(KUBELET, "patch", resource="persistentvolumes", subresource="status", name="mine")
    assert (await NodeAuthorizer(objects).authorize(asked))[0] is Decision.NO_OPINION


OURS, GUARD = "k8slite.io/local-data", "kubernetes.io/pv-protection"
GOES: dict[str, Any] = {
    "metadata": {
        "name": "v",
        "labels": {"k8slite.io/node": "n1"},
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": [GUARD, OURS],
        "resourceVersion": "1",
    },
    "spec": {"local": {"path": "/x"}},
    "status": {"phase": "Released"},
}
GONE = changed(GOES, "metadata.finalizers", [GUARD])


def update(old: dict[str, Any], new: dict[str, Any], where: str = "persistentvolumes") -> Any:
    return admission("UPDATE", where, new=new, old=old, namespace="")


def both(path: str, value: Any) -> Any:
    return update(changed(GOES, path, value), changed(GONE, path, value))


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        (update(GOES, GONE), ""),
        (update(GOES, changed(GONE, "metadata.managedFields", [{"manager": "kubelet"}])), ""),
        (update(GOES, GOES), "change nothing but the finalizer"),
        (update(GOES, changed(GOES, "metadata.finalizers", [OURS])), "change nothing but the finalizer"),
        (update(GOES, changed(GOES, "metadata.finalizers", [])), "change nothing but the finalizer"),
        (update(GOES, changed(GONE, "spec.local.path", "/etc")), "change nothing but the finalizer"),
        (update(GOES, changed(GONE, "metadata.labels", {})), "change nothing but the finalizer"),
        (update(GOES, GONE, "persistentvolumes/status"), "may only let go of"),
        (both("metadata.deletionTimestamp", None), "not to be removed yet"),
        (both("status.phase", "Bound"), "not to be removed yet"),
        (both("metadata.labels", {"k8slite.io/node": "n2"}), "does not keep the data"),
        (both("metadata.labels", {}), "does not keep the data"),
        (admission("CREATE", "persistentvolumes", new=GOES, namespace=""), "may only let go of"),
        (admission("DELETE", "persistentvolumes", old=GOES, namespace=""), "may only let go of"),
    ],
)
async def test_a_kubelet_changes_nothing_but_its_own_finalizer(attempt: Any, refusal: str) -> None:
    plugin = NodeRestriction(Allowing())
    if not refusal:
        await plugin.mutate(attempt)
        return
    with pytest.raises(ApiError, match=refusal) as refused:
        await plugin.mutate(attempt)
    assert refused.value.code == 403
