"""LimitRanges, runtime classes and storage defaults as clients meet them: over the real server, by every way in."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}
Document = dict[str, Any]


def core(namespace: str, plural: str) -> str:
    return f"/api/v1/namespaces/{namespace}/{plural}"


def pod(name: str, resources: Document | None = None, **spec: Any) -> Document:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", **(resources or {})}], **spec},
    }


def limits(requests: Document | None = None, most: Document | None = None) -> Document:
    return {"resources": {"requests": requests or {}, "limits": most or {}}}


async def limit_range(http: httpx.AsyncClient, namespace: str, *items: Document) -> None:
    body = {"metadata": {"name": "limits"}, "spec": {"limits": list(items)}}
    made = await http.post(core(namespace, "limitranges"), json=body)
    assert made.status_code == 201, made.text


async def test_pods_take_the_defaults_and_stay_in_range(http: httpx.AsyncClient, namespace: str) -> None:
    # Names and values are those of Kubernetes' conformance test of LimitRanges.
    await limit_range(
        http,
        namespace,
        {
            "type": "Container",
            "min": {"cpu": "50m", "memory": "100Mi"},
            "max": {"cpu": "500m", "memory": "500Mi"},
            "default": {"cpu": "500m", "memory": "500Mi"},
            "defaultRequest": {"cpu": "100m", "memory": "200Mi"},
        },
    )
    pods = core(namespace, "pods")
    made = (await http.post(pods, json=pod("plain"))).json()
    expected = {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"cpu": "500m", "memory": "500Mi"}}
    assert made["spec"]["containers"][0]["resources"] == expected
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
    )
    partial = (await http.post(pods, json=pod("partial", limits({"cpu": "300m"})))).json()
    assert partial["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "300m", "memory": "200Mi"}
    for name, asked, words in (
        ("less", limits({"cpu": "10m"}, {"cpu": "50m"}), "minimum cpu usage per Container is 50m, but request is 10m"),
        ("more", limits({}, {"cpu": "600m"}), "maximum cpu usage per Container is 500m, but limit is 600m"),
    ):
        refused = await http.post(pods, json=pod(name, asked))
        assert refused.status_code == 403 and words in refused.json()["message"], refused.text

    one = f"{core(namespace, 'limitranges')}/limits"
    changed = (await http.get(one)).json()
    changed["spec"]["limits"][0]["min"] = {"cpu": "9m", "memory": "40Mi"}
    assert (await http.put(one, json=changed)).status_code == 200
    assert (await http.post(pods, json=pod("less", limits({"cpu": "10m"})))).status_code == 201
    assert (await http.delete(one)).status_code == 200
    unlimited = (await http.post(pods, json=pod("unlimited"))).json()
    assert unlimited["spec"]["containers"][0]["resources"] == {}


async def test_a_resize_cannot_leave_the_range(http: httpx.AsyncClient, namespace: str) -> None:
    await limit_range(http, namespace, {"type": "Container", "max": {"cpu": "1"}})
    pods = core(namespace, "pods")
    made = await http.post(pods, json=pod("p", limits({"cpu": "500m"}, {"cpu": "1"})))
    assert made.status_code == 201, made.text

    def to(cpu: str) -> Document:
        return {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": cpu}}}]}}

    strategic = {"content-type": "application/strategic-merge-patch+json"}
    refused = await http.patch(f"{pods}/p/resize", json=to("2"), headers=strategic)
    assert refused.status_code == 403, refused.text
    assert refused.json()["message"] == ('pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2')
    assert (await http.patch(f"{pods}/p/resize", json=to("800m"), headers=strategic)).status_code == 200


async def test_claims_cannot_grow_out_of_the_range(http: httpx.AsyncClient, namespace: str) -> None:
    await limit_range(http, namespace, {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}})
    grows = {"metadata": {"name": f"grows-{namespace}"}, "provisioner": "p", "allowVolumeExpansion": True}
    assert (await http.post("/apis/storage.k8s.io/v1/storageclasses", json=grows)).status_code == 201
    claims = core(namespace, "persistentvolumeclaims")

    def claim(storage: str) -> Document:
        asked = {"resources": {"requests": {"storage": storage}}, "storageClassName": f"grows-{namespace}"}
        return {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], **asked}}

    assert (await http.post(claims, json=claim("3Gi"))).status_code == 403
    made = await http.post(claims, json=claim("1Gi"))
    assert made.status_code == 201 and made.json()["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    larger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    early = await http.patch(f"{claims}/c", json=larger, headers=MERGE)
    assert early.status_code == 422, early.text
    bound = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
    assert (await http.patch(f"{claims}/c/status", json=bound, headers=MERGE)).status_code == 200
    assert (await http.patch(f"{claims}/c", json=larger, headers=MERGE)).status_code == 200
    beyond = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
    refused = await http.patch(f"{claims}/c", json=beyond, headers=MERGE)
    assert refused.status_code == 403, refused.text
    assert "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi" in refused.json()["message"]


async def test_runtime_classes_give_overhead_or_are_missed(http: httpx.AsyncClient, namespace: str) -> None:
    classes, pods = "/apis/node.k8s.io/v1/runtimeclasses", core(namespace, "pods")
    refused = await http.post(pods, json=pod("none", runtimeClassName="nonexistent"))
    assert refused.status_code == 403
    assert refused.json()["message"] == ('pods "none" is forbidden: pod rejected: RuntimeClass "nonexistent" not found')
    heavy = {"metadata": {"name": "heavy"}, "handler": "h", "overhead": {"podFixed": {"cpu": "10m", "memory": "1Mi"}}}
    light = {"metadata": {"name": "light"}, "handler": "l"}
    for body in (heavy, light):
        assert (await http.post(classes, json=body)).status_code == 201
    made = (await http.post(pods, json=pod("heavy", runtimeClassName="heavy"))).json()
    assert made["spec"]["overhead"] == {"cpu": "10m", "memory": "1Mi"}
    assert "overhead" not in (await http.post(pods, json=pod("light", runtimeClassName="light"))).json()["spec"]
    assert (await http.delete(f"{classes}/heavy")).status_code == 200
    gone = await http.post(pods, json=pod("late", runtimeClassName="heavy"))
    assert gone.status_code == 403 and 'RuntimeClass "heavy" not found' in gone.json()["message"]


async def test_a_bound_pod_bears_its_nodes_zone(http: httpx.AsyncClient, namespace: str) -> None:
    node = {"metadata": {"name": f"n-{namespace}", "labels": {"topology.kubernetes.io/zone": "west"}}}
    made = await http.post("/api/v1/nodes", json=node)
    assert made.json()["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    pods = core(namespace, "pods")
    await http.post(pods, json=pod("p"))
    body = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": f"n-{namespace}"}}
    assert (await http.post(f"{pods}/p/binding", json=body)).status_code == 201
    assert (await http.get(f"{pods}/p")).json()["metadata"]["labels"] == {"topology.kubernetes.io/zone": "west"}


async def test_kubectl_is_told_why(server: RunningServer, http: httpx.AsyncClient, namespace: str) -> None:
    await limit_range(http, namespace, {"type": "Container", "max": {"memory": "64Mi"}})
    kubectl = Kubectl(server)
    overrides = '{"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"memory":"1Gi"}}}]}}'
    refused = await kubectl("run", "big", "--image=i", "-n", namespace, f"--overrides={overrides}")
    assert refused.code == 1
    assert refused.err == (
        'Error from server (Forbidden): pods "big" is forbidden: '
        "maximum memory usage per Container is 64Mi, but limit is 1Gi"
    )
    shown = await kubectl("describe", "limitrange", "limits", "-n", namespace)
    assert "Container" in shown.out and "64Mi" in shown.out


async def test_optional_plugins_run_where_they_are_enabled() -> None:
    enabled = ["AlwaysPullImages", "DenyServiceExternalIPs"]
    async with running_server(enable_admission_plugins=enabled) as server, server.http() as http:
        made = await http.post(core("default", "pods"), json=pod("p"))
        assert made.json()["spec"]["containers"][0]["imagePullPolicy"] == "Always"
        debug = {"spec": {"ephemeralContainers": [{"name": "d", "image": "x", "imagePullPolicy": "Never"}]}}
        strategic = {"content-type": "application/strategic-merge-patch+json"}
        path = f"{core('default', 'pods')}/p/ephemeralcontainers"
        changed = await http.patch(path, json=debug, headers=strategic)
        assert changed.status_code == 200, changed.text
        assert changed.json()["spec"]["ephemeralContainers"][0]["imagePullPolicy"] == "Always"
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
        services = core("default", "services")
        assert (await http.post(services, json=service)).status_code == 201
        taken = {"spec": {"externalIPs": ["192.0.2.1"]}}
        for path in (f"{services}/s", f"{services}/s/status"):
            await http.patch(path, json=taken, headers=MERGE)
        assert "externalIPs" not in (await http.get(f"{services}/s")).json()["spec"]
