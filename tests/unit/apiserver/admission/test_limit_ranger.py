"""LimitRanger: defaults, bounds and ratios, on every way into a pod or a claim."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from k8slite.apiserver.admission.limit_ranger import LimitRanger
from k8slite.errors import ApiError

from .rig import Document, Objects, admission, admit, pod, resources


def ranger(*items: Document) -> LimitRanger:
    objects = Objects()
    objects.resource("", "limitranges").add(
        {"metadata": {"name": "limits", "namespace": "ns"}, "spec": {"limits": list(items)}}
    )
    return LimitRanger(objects)


def of(type_: str, **members: Any) -> Document:
    return {"type": type_, **members}


def claim(storage: str) -> Document:
    return {"metadata": {"name": "c", "namespace": "ns"}, "spec": {"resources": {"requests": {"storage": storage}}}}


async def test_containers_get_what_they_do_not_say() -> None:
    plugin = ranger(of("Container", default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "500m"}))
    new = pod(resources({"cpu": "100m"}), {}, initContainers=[{"name": "first", "image": "i"}])
    made = await admit(plugin, admission("pods", new))
    first, second = made["spec"]["containers"]
    assert first["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    assert second["resources"] == {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    assert made["spec"]["initContainers"][0]["resources"] == second["resources"]
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory limit for container c0; cpu request for container c1; "
        "cpu, memory limit for container c1; cpu request for init container first; "
        "cpu, memory limit for init container first"
    )


async def test_pods_of_other_namespaces_are_left_alone() -> None:
    plugin = ranger(of("Container", default={"cpu": "1"}))
    made = await admit(plugin, admission("pods", pod(metadata={"namespace": "other"})))
    assert "resources" not in made["spec"]["containers"][0]


REFUSED = {
    "no request": (
        of("Container", min={"cpu": "50m"}),
        pod(),
        "minimum cpu usage per Container is 50m.  No request is specified",
    ),
    "little request": (
        of("Container", min={"memory": "1Gi"}),
        pod(resources({"memory": "512Mi"})),
        "minimum memory usage per Container is 1Gi, but request is 512Mi",
    ),
    "little limit": (
        of("Container", min={"cpu": "1"}),
        pod(resources({"cpu": "1"}, {"cpu": "900m"})),
        "minimum cpu usage per Container is 1, but limit is 900m",
    ),
    "no limit": (
        of("Container", max={"cpu": "1"}),
        pod(resources({"cpu": "1"})),
        "maximum cpu usage per Container is 1.  No limit is specified",
    ),
    "much limit": (
        of("Container", max={"ephemeral-storage": "1Gi"}),
        pod(resources({}, {"ephemeral-storage": "1025Mi"})),
        "maximum ephemeral-storage usage per Container is 1Gi, but limit is 1025Mi",
    ),
    "init container": (
        of("Container", max={"cpu": "1"}),
        pod(resources({}, {"cpu": "1"}), initContainers=[{"name": "i", **resources({}, {"cpu": "2"})}]),
        "maximum cpu usage per Container is 1, but limit is 2",
    ),
    "ratio": (
        of("Container", maxLimitRequestRatio={"cpu": "2"}),
        pod(resources({"cpu": "1"}, {"cpu": "2500m"})),
        "cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000",
    ),
    "ratio without request": (
        of("Container", maxLimitRequestRatio={"cpu": "2"}),
        pod(resources({}, {"cpu": "1"})),
        "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
    ),
    "whole pod": (
        of("Pod", max={"cpu": "2"}),
        pod(resources({}, {"cpu": "1500m"}), resources({}, {"cpu": "1500m"})),
        "maximum cpu usage per Pod is 2, but limit is 3",
    ),
    "sidecar beside the containers": (
        of("Pod", max={"cpu": "2"}),
        pod(
            resources({}, {"cpu": "1500m"}),
            initContainers=[{"name": "side", "restartPolicy": "Always", **resources({}, {"cpu": "1"})}],
        ),
        "maximum cpu usage per Pod is 2, but limit is 2500m",
    ),
    "pod's own resources": (
        of("Pod", max={"memory": "1Gi"}),
        pod(resources({}, {"memory": "1Mi"}), resources={"limits": {"memory": "2Gi"}}),
        "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
    ),
}


@pytest.mark.parametrize(("item", "new", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_is_out_of_range_is_refused(item: Document, new: Document, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        await admit(ranger(item), admission("pods", copy.deepcopy(new)))
    assert caught.value.message == f'pods "p" is forbidden: {message}'


async def test_all_problems_are_told_at_once() -> None:
    plugin = ranger(of("Container", min={"cpu": "2"}, max={"cpu": "1"}))
    with pytest.raises(ApiError) as caught:
        await admit(plugin, admission("pods", pod(resources({"cpu": "1500m"}, {"cpu": "1500m"}))))
    assert caught.value.message == (
        'pods "p" is forbidden: [minimum cpu usage per Container is 2, but request is 1500m, '
        "maximum cpu usage per Container is 1, but limit is 1500m]"
    )


async def test_claims_stay_between_least_and_most() -> None:
    plugin = ranger(of("PersistentVolumeClaim", min={"storage": "1Gi"}, max={"storage": "2Gi"}))
    await admit(plugin, admission("persistentvolumeclaims", claim("1Gi")))
    for storage, words in (("512Mi", "minimum"), ("3Gi", "maximum")):
        with pytest.raises(ApiError, match=f"{words} storage usage per PersistentVolumeClaim is .*, but request is"):
            await admit(plugin, admission("persistentvolumeclaims", claim(storage)))


async def test_a_claim_that_grows_is_judged_and_one_that_stays_is_not() -> None:
    plugin = ranger(of("PersistentVolumeClaim", max={"storage": "2Gi"}))
    await admit(plugin, admission("persistentvolumeclaims", claim("5Gi"), old=claim("5Gi")))
    with pytest.raises(ApiError, match="maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 6Gi"):
        await admit(plugin, admission("persistentvolumeclaims", claim("6Gi"), old=claim("5Gi")))


async def test_a_resize_is_judged_as_a_new_pod_is() -> None:
    plugin = ranger(of("Container", max={"cpu": "1"}))
    old, new = pod(resources({}, {"cpu": "1"})), pod(resources({}, {"cpu": "2"}))
    with pytest.raises(ApiError, match="maximum cpu usage per Container is 1, but limit is 2"):
        await admit(plugin, admission("pods", new, old=old, subresource="resize"))
    await admit(plugin, admission("pods", new, old=new, subresource="resize"))


async def test_other_updates_of_pods_and_what_is_being_deleted_are_left_alone() -> None:
    plugin = ranger(of("Container", max={"cpu": "1"}, default={"memory": "1Gi"}))
    beyond = pod(resources({}, {"cpu": "2"}))
    assert await admit(plugin, admission("pods", copy.deepcopy(beyond), old=beyond)) == beyond
    going = pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    await admit(plugin, admission("pods", copy.deepcopy(beyond), old=going, subresource="resize"))


async def test_a_new_range_counts_at_once() -> None:
    objects = Objects()
    plugin = LimitRanger(objects)
    await admit(plugin, admission("pods", pod()))
    item = of("Container", min={"cpu": "1"})
    objects.resource("", "limitranges").add({"metadata": {"name": "l", "namespace": "ns"}, "spec": {"limits": [item]}})
    with pytest.raises(ApiError, match="No request is specified"):
        await admit(plugin, admission("pods", pod()))
