"""ResourceQuotas over the real server and controllers: charged at once, released promptly, never exceeded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k8slite.controllers.resourcequota.sync import QUOTAS
from k8slite.errors import ApiError
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject
from k8slite.kinds.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SECRETS,
    SERVICES,
)

CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, PartialObject)


async def quota(cluster, hard: dict[str, str], *, name: str = "quota", **spec: Any) -> None:
    """A quota whose use has been counted, in a namespace that has its service account."""
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name},
        "spec": {"hard": hard, **spec},
    }
    await cluster.until(lambda: accounts(cluster))
    await cluster.client.create(QUOTAS, body, namespace="default")
    await cluster.until(lambda: counted(cluster, name, hard))


async def accounts(cluster) -> Any:
    return (await cluster.client.request("GET", "/api/v1/namespaces/default/serviceaccounts"))["items"]


async def counted(cluster, name: str, hard: dict[str, str]) -> bool:
    found = await cluster.get(QUOTAS, name)
    return found.status.get("hard") == hard and found.status.get("used", {}).keys() == hard.keys()


async def used(cluster, *, name: str = "quota", **expected: str) -> None:
    """Wait until the quota says so; dots and slashes are written `_` and `__`."""
    wanted = {key.replace("__", "/").replace("_", "."): value for key, value in expected.items()}

    async def shows():
        found = (await cluster.get(QUOTAS, name)).status.get("used", {})
        return {key: found.get(key) for key in wanted} == wanted

    try:
        await cluster.until(shows)
    except TimeoutError:
        raise AssertionError(f"{(await cluster.get(QUOTAS, name)).status} is not {wanted}") from None


def pod(name: str, *, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **spec: Any):
    resources = {"requests": requests or {}, "limits": limits or {}}
    container = {"name": "c", "image": "web:1", "resources": resources}
    body = {"containers": [container], "terminationGracePeriodSeconds": 0, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def plain(resource: ResourceType[Any], name: str, **members: Any) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **members}


async def refused(cluster, resource, body, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        await cluster.client.create(resource, body, namespace="default")
    assert caught.value.code == 403 and words in caught.value.message, caught.value.message


async def test_the_life_of_a_pod(cluster):
    hard = {"pods": "2", "cpu": "1", "memory": "1Gi", "requests.example.com/gpu": "3"}
    await quota(cluster, hard)
    client = cluster.client
    await client.create(PODS, pod("a", requests={"cpu": "500m", "memory": "252Mi"}), namespace="default")
    await used(cluster, pods="1", cpu="500m", memory="252Mi")
    await refused(
        cluster,
        PODS,
        pod("b", requests={"cpu": "600m", "memory": "1Mi"}),
        'pods "b" is forbidden: exceeded quota: quota, requested: cpu=600m, used: cpu=500m, limited: cpu=1',
    )
    await refused(cluster, PODS, pod("b"), "failed quota: quota: must specify cpu for: c; memory for: c")
    many = pod("b", requests={"cpu": "1m", "memory": "1Mi", "example.com/gpu": "4"}, limits={"example.com/gpu": "4"})
    await refused(cluster, PODS, many, "requests.example.com/gpu=4, used: requests.example.com/gpu=0, limited:")
    await client.delete(PODS, "a", namespace="default", grace_period=0)
    await used(cluster, pods="0", cpu="0", memory="0")


async def test_a_pod_that_ends_gives_back_all_but_its_number(cluster):
    await quota(cluster, {"pods": "5", "count/pods": "5"})
    body = pod("job", restartPolicy="Never")
    body["spec"]["containers"][0]["image"] = "once:1"
    await cluster.client.create(PODS, body, namespace="default")
    await used(cluster, pods="0", count__pods="1")


@pytest.mark.parametrize(
    ("resource", "name", "members"),
    [
        (CONFIG_MAPS, "configmaps", {}),
        (SECRETS, "secrets", {}),
        (
            REPLICATION_CONTROLLERS,
            "replicationcontrollers",
            {"spec": {"replicas": 0, "selector": {"a": "b"}, "template": {"metadata": {"labels": {"a": "b"}}}}},
        ),
        (
            REPLICA_SETS,
            "count/replicasets.apps",
            {
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {"metadata": {"labels": {"a": "b"}}},
                }
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_life_of_what_is_counted(cluster, resource, name, members):
    client = cluster.client
    if "spec" in members:
        members["spec"]["template"]["spec"] = {"containers": [{"name": "c", "image": "i"}]}
    before = len((await client.list(resource, namespace="default")).items)

    async def stable():  # the cluster's own config map comes into the namespace
        return resource is not CONFIG_MAPS or (await client.list(resource, namespace="default")).items

    await cluster.until(stable)
    before = len((await client.list(resource, namespace="default")).items)
    await quota(cluster, {name: str(before + 1)})
    await used(cluster, **{name.replace("/", "__").replace(".", "_"): str(before)})
    await client.create(resource, plain(resource, "one", **members), namespace="default")
    await used(cluster, **{name.replace("/", "__").replace(".", "_"): str(before + 1)})
    await refused(cluster, resource, plain(resource, "two", **members), f"exceeded quota: quota, requested: {name}=1")
    await client.delete(resource, "one", namespace="default")
    await used(cluster, **{name.replace("/", "__").replace(".", "_"): str(before)})


async def test_the_life_of_a_service(cluster):
    client = cluster.client
    await quota(cluster, {"services": "4", "services.nodeports": "1", "services.loadbalancers": "1"})

    def service(name: str, type_: str = "ClusterIP", **spec: Any):
        body = {"type": type_, "ports": [{"port": 80}], "selector": {"a": "b"}, **spec}
        return plain(SERVICES, name, spec=body)

    start = len((await client.list(SERVICES, namespace="default")).items)  # the API server's own is one
    await client.create(SERVICES, service("plain"), namespace="default")
    await client.create(SERVICES, service("ported", "NodePort"), namespace="default")
    await used(cluster, services=str(start + 2), services_nodeports="1", services_loadbalancers="0")
    await refused(
        cluster,
        SERVICES,
        service("balanced", "LoadBalancer"),
        "exceeded quota: quota, requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodep",
    )
    # Another way in: a Service that is there becomes one of another type.
    with pytest.raises(ApiError, match=r"exceeded quota: quota, requested: services\.nodeports=1"):
        await client.patch(SERVICES, "plain", {"spec": {"type": "NodePort"}}, namespace="default")
    await client.patch(SERVICES, "ported", {"spec": {"type": "ClusterIP"}}, namespace="default")
    await used(cluster, services_nodeports="0")
    portless = service("balanced", "LoadBalancer", allocateLoadBalancerNodePorts=False)
    await client.create(SERVICES, portless, namespace="default")
    await used(cluster, services=str(start + 3), services_nodeports="0", services_loadbalancers="1")
    for name in ("plain", "ported", "balanced"):
        await client.delete(SERVICES, name, namespace="default")
    await used(cluster, services=str(start), services_loadbalancers="0")


async def test_the_life_of_a_claim(cluster):
    client = cluster.client
    gold = "gold.storageclass.storage.k8s.io"
    hard = {"persistentvolumeclaims": "5", "requests.storage": "10Gi", f"{gold}/requests.storage": "3Gi"}
    await client.request(
        "POST",
        "/apis/storage.k8s.io/v1/storageclasses",
        body={"metadata": {"name": "gold"}, "provisioner": "p", "allowVolumeExpansion": True},
    )
    await quota(cluster, hard)

    def claim(name: str, storage: str, class_: str = "gold"):
        asked = {"resources": {"requests": {"storage": storage}}, "storageClassName": class_}
        return plain(CLAIMS, name, spec={"accessModes": ["ReadWriteOnce"], **asked})

    await client.create(CLAIMS, claim("a", "2Gi"), namespace="default")
    await client.create(CLAIMS, claim("b", "4Gi", "other"), namespace="default")
    await used(cluster, persistentvolumeclaims="2", requests_storage="6Gi")
    words = f"requested: {gold}/requests.storage=2Gi, used: {gold}/requests.storage=2Gi, limited:"
    await refused(cluster, CLAIMS, claim("c", "2Gi"), words)
    bound = {"status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}}
    await client.patch(CLAIMS, "a", bound, namespace="default", subresource="status")
    for storage, allowed in (("4Gi", False), ("3Gi", True)):
        larger = {"spec": {"resources": {"requests": {"storage": storage}}}}
        if allowed:
            await client.patch(CLAIMS, "a", larger, namespace="default")
        else:
            with pytest.raises(ApiError, match="exceeded quota: quota"):
                await client.patch(CLAIMS, "a", larger, namespace="default")
    await used(cluster, requests_storage="7Gi")
    for name in ("a", "b"):
        await client.delete(CLAIMS, name, namespace="default")
    await used(cluster, persistentvolumeclaims="0", requests_storage="0")


async def test_scopes_tell_pods_apart(cluster):
    await quota(cluster, {"pods": "5"}, name="best", scopes=["BestEffort"])
    await quota(cluster, {"pods": "5"}, name="other", scopes=["NotBestEffort"])
    await quota(cluster, {"pods": "1", "requests.cpu": "1"}, name="ending", scopes=["Terminating"])
    await quota(cluster, {"pods": "5"}, name="lasting", scopes=["NotTerminating"])
    client = cluster.client
    await client.create(PODS, pod("a"), namespace="default")
    await client.create(PODS, pod("b", requests={"cpu": "1"}, activeDeadlineSeconds=3600), namespace="default")
    for name, number in {"best": "1", "other": "1", "ending": "1", "lasting": "1"}.items():
        await used(cluster, name=name, pods=number)
    await used(cluster, name="ending", requests_cpu="1")
    # Another way into a scope: a pod that is there gets a deadline.
    with pytest.raises(ApiError, match=r"failed quota: ending: must specify requests\.cpu for: c"):
        await client.patch(PODS, "a", {"spec": {"activeDeadlineSeconds": 60}}, namespace="default")
    for name in ("a", "b"):
        await client.delete(PODS, name, namespace="default", grace_period=0)
    for name in ("best", "other", "ending", "lasting"):
        await used(cluster, name=name, pods="0")


async def test_a_resize_is_charged(cluster):
    await quota(cluster, {"requests.cpu": "1"})
    client = cluster.client
    await client.create(PODS, pod("a", requests={"cpu": "500m"}, limits={"cpu": "4"}), namespace="default")

    async def resize(cpu: str) -> None:
        body = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}
        path = "/api/v1/namespaces/default/pods/a/resize"
        kind = "application/strategic-merge-patch+json"
        await client.request("PATCH", path, body=body, content_type=kind)

    with pytest.raises(ApiError, match=r"requests\.cpu=1, used: requests\.cpu=500m, limited"):
        await resize("1500m")
    await resize("900m")
    await used(cluster, requests_cpu="900m")
    await resize("100m")
    await used(cluster, requests_cpu="100m")


async def test_custom_resources_are_counted(cluster):
    client = cluster.client
    await quota(cluster, {"pods": "9"})
    body = {"spec": {"hard": {"pods": "9", "count/gadgets.example.com": "1"}}}
    await client.patch(QUOTAS, "quota", body, namespace="default")
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await client.request("POST", definitions, body={"metadata": {"name": "gadgets.example.com"}, "spec": spec})
    gadgets = ResourceType("example.com", "v1", "gadgets", "Gadget", True, PartialObject)

    async def shows(value: str) -> bool:
        found = (await cluster.get(QUOTAS, "quota")).status.get("used", {})
        return found.get("count/gadgets.example.com") == value

    await cluster.until(lambda: shows("0"))
    await client.create(gadgets, plain(gadgets, "one"), namespace="default")
    await refused(
        cluster, gadgets, plain(gadgets, "two"), "exceeded quota: quota, requested: count/gadgets.example.com=1"
    )
    await client.delete(gadgets, "one", namespace="default")
    await cluster.until(lambda: shows("0"))


async def test_the_status_follows_the_spec(cluster):
    await quota(cluster, {"pods": "5", "services": "7"})
    await cluster.client.patch(
        QUOTAS, "quota", {"spec": {"hard": {"pods": "3", "services": None}}}, namespace="default"
    )
    await cluster.until(lambda: counted(cluster, "quota", {"pods": "3"}))
    # What somebody else wrote into the status is put right.
    wrong = {"status": {"used": {"pods": "2"}}}
    await cluster.client.patch(QUOTAS, "quota", wrong, namespace="default", subresource="status")
    await used(cluster, pods="0")


async def test_a_dry_run_is_judged_and_not_charged(cluster):
    await quota(cluster, {"pods": "1"})
    path = "/api/v1/namespaces/default/pods"
    await cluster.client.request("POST", path, query={"dryRun": "All"}, body=pod("a"))
    await cluster.client.create(PODS, pod("a"), namespace="default")
    with pytest.raises(ApiError, match="exceeded quota"):
        await cluster.client.request("POST", path, query={"dryRun": "All"}, body=pod("b"))
    assert (await cluster.get(QUOTAS, "quota")).status["used"] == {"pods": "1"}


async def test_a_charge_whose_object_was_not_stored_is_given_back(cluster):
    await quota(cluster, {"secrets": "9"})
    await cluster.client.create(SECRETS, plain(SECRETS, "one"), namespace="default")
    with pytest.raises(ApiError, match="already exists"):
        await cluster.client.create(SECRETS, plain(SECRETS, "one"), namespace="default")
    await used(cluster, secrets="1")


async def test_many_at_once_never_exceed_a_quota(cluster):
    await quota(cluster, {"pods": "20"})
    client = cluster.client

    async def make(number: int) -> bool:
        try:
            await client.create(PODS, pod(f"p{number}"), namespace="default")
        except ApiError as error:
            assert "exceeded quota: quota, requested: pods=1, used: pods=20, limited: pods=20" in error.message
            return False
        return True

    made = await asyncio.gather(*map(make, range(60)))
    assert sum(made) == 20
    assert len(await cluster.list(PODS)) == 20


async def test_a_replication_controller_says_that_a_quota_holds_it_back(cluster):
    await quota(cluster, {"pods": "2"})
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 3, "selector": {"a": "b"}, "template": template}
    await cluster.client.create(
        REPLICATION_CONTROLLERS, plain(REPLICATION_CONTROLLERS, "rc", spec=spec), namespace="default"
    )

    async def failing() -> bool:
        found = await cluster.get(REPLICATION_CONTROLLERS, "rc")
        condition = next((one for one in found.status.conditions if one.type == "ReplicaFailure"), None)
        return condition is not None and "exceeded quota: quota" in condition.message

    async def two_are_available() -> bool:
        found = await cluster.get(REPLICATION_CONTROLLERS, "rc")
        return found.status.available_replicas == 2

    await cluster.until(failing)
    await cluster.until(two_are_available)
    first = await cluster.get(REPLICATION_CONTROLLERS, "rc")

    async def attempts() -> int:
        return sum(event.count for event in await cluster.list(EVENTS) if event.reason == "FailedCreate")

    async def failed_since(number: int) -> bool:
        return await attempts() >= number

    # It tries again after ever longer pauses: further failures do not change its status, which would wake it at once.
    begun = await attempts()
    await cluster.until(lambda: failed_since(begun + 3))
    again = await cluster.get(REPLICATION_CONTROLLERS, "rc")
    assert again.metadata.resource_version == first.metadata.resource_version
    await cluster.client.patch(REPLICATION_CONTROLLERS, "rc", {"spec": {"replicas": 2}}, namespace="default")

    async def healed() -> bool:
        found = await cluster.get(REPLICATION_CONTROLLERS, "rc")
        return not any(one.type == "ReplicaFailure" for one in found.status.conditions)

    await cluster.until(healed)


async def test_a_deployment_goes_on_when_room_is_made(cluster):
    await quota(cluster, {"pods": "2"})
    await cluster.client.create(PODS, pod("in-the-way"), namespace="default")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await cluster.client.create(DEPLOYMENTS, plain(DEPLOYMENTS, "web", spec=spec), namespace="default")

    async def ready(number: int) -> bool:
        return len([one for one in await cluster.list(PODS, "a=b") if one.ready]) == number

    await cluster.until(lambda: ready(1))
    await cluster.client.delete(PODS, "in-the-way", namespace="default", grace_period=0)
    await cluster.until(lambda: ready(2))
