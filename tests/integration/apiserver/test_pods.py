"""Pods from their creation to their eviction: what admission adds, what may change, who binds and evicts them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

PODS = "/api/v1/namespaces/default/pods"
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
APPLY = "application/apply-patch+yaml"


async def create(http: httpx.AsyncClient, name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    body = {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}], **spec},
    }
    answer = await http.post(PODS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_new_pod_is_complete(http: httpx.AsyncClient) -> None:
    made = await create(http, "complete")
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert (spec["restartPolicy"], spec["dnsPolicy"], spec["terminationGracePeriodSeconds"]) == (
        "Always",
        "ClusterFirst",
        30,
    )
    assert (spec["serviceAccountName"], spec["priority"], spec["enableServiceLinks"]) == ("default", 0, True)
    assert container["imagePullPolicy"] == "IfNotPresent"
    mount = container["volumeMounts"][0]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount["name"] == spec["volumes"][0]["name"] and mount["name"].startswith("kube-api-access-")
    assert {item["key"] for item in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }


async def test_token_volume_can_be_declined(http: httpx.AsyncClient) -> None:
    made = await create(http, "declined", automountServiceAccountToken=False)
    assert "volumes" not in made["spec"]


async def test_account_must_exist(http: httpx.AsyncClient) -> None:
    body = {
        "metadata": {"name": "x"},
        "spec": {"containers": [{"name": "a", "image": "b"}], "serviceAccountName": "no"},
    }
    refused = await http.post(PODS, json=body)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods "x" is forbidden: error looking up service account default/no: serviceaccount "no" not found'
    )


async def test_priority_comes_from_the_class(http: httpx.AsyncClient) -> None:
    made = await create(http, "critical", priorityClassName="system-node-critical")
    assert made["spec"]["priority"] == 2000001000
    body = {"metadata": {"name": "y"}, "spec": {"containers": [{"name": "a", "image": "b"}], "priorityClassName": "no"}}
    assert "no PriorityClass with name no was found" in (await http.post(PODS, json=body)).json()["message"]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
async def test_quality_of_service(http: httpx.AsyncClient, resources: dict[str, Any], expected: str) -> None:
    body = {
        "metadata": {"generateName": "qos-"},
        "spec": {"containers": [{"name": "a", "image": "b", "resources": resources}]},
    }
    assert (await http.post(PODS, json=body)).json()["status"]["qosClass"] == expected
    whole = {"containers": [{"name": "a", "image": "b"}], **({"resources": resources} if resources else {})}
    made = await http.post(PODS, json={"metadata": {"generateName": "qos-"}, "spec": whole})
    assert made.json()["status"]["qosClass"] == expected


async def test_only_images_and_little_else_may_change(http: httpx.AsyncClient) -> None:
    url = f"{PODS}/changing"
    await create(http, "changing")
    image = {"spec": {"containers": [{"name": "main", "image": "web:2"}]}}
    changed = await http.patch(url, headers=STRATEGIC, json=image)
    assert changed.status_code == 200 and changed.json()["metadata"]["generation"] == 2
    refused = await http.patch(url, headers=MERGE, json={"spec": {"hostname": "other"}})
    assert refused.status_code == 422
    assert "pod updates may not change fields other than" in refused.json()["message"]


async def test_tolerations_are_added_to_and_the_usual_ones_stay(http: httpx.AsyncClient) -> None:
    own = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    made = await create(http, "tolerant", tolerations=[own])
    url = f"{PODS}/tolerant"
    fewer = await http.patch(url, headers=MERGE, json={"spec": {"tolerations": []}})
    assert "existing toleration can not be modified" in fewer.json()["message"]
    same = await http.patch(url, headers=MERGE, json={"spec": {"tolerations": [own], "priority": None}})
    assert same.status_code == 200
    assert same.json()["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    apply = {"apiVersion": "v1", "kind": "Pod", "spec": {"tolerations": [own]}}
    applied = await http.patch(
        url, params={"fieldManager": "x", "force": "true"}, headers={"content-type": APPLY}, json=apply
    )
    assert applied.status_code == 200 and applied.json()["spec"]["tolerations"] == made["spec"]["tolerations"]


async def test_pod_is_bound_once(http: httpx.AsyncClient) -> None:
    await create(http, "bound")
    binding = {"metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "n1"}}
    answer = await http.post(f"{PODS}/bound/binding", json=binding)
    assert answer.status_code == 201 and answer.json()["status"] == "Success"
    pod = (await http.get(f"{PODS}/bound")).json()
    assert pod["spec"]["nodeName"] == "n1"
    assert [(c["type"], c["status"]) for c in pod["status"]["conditions"]] == [("PodScheduled", "True")]
    again = await http.post(f"{PODS}/bound/binding", json=binding)
    assert again.status_code == 409 and 'pod bound is already assigned to node "n1"' in again.json()["message"]
    absent = await http.post(f"{PODS}/absent/binding", json={**binding, "metadata": {"name": "absent"}})
    assert absent.status_code == 404


async def test_eviction_respects_the_budget(http: httpx.AsyncClient) -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await create(http, "evicted", labels={"app": "guarded"}, nodeName="n1")
    running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await http.patch(f"{PODS}/evicted/status", headers=MERGE, json={"status": running})
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}}
    made = (await http.post(budgets, json={"metadata": {"name": "guard"}, "spec": spec})).json()
    status = {"observedGeneration": made["metadata"]["generation"], "disruptionsAllowed": 0}
    status |= {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    await http.patch(f"{budgets}/guard/status", headers=MERGE, json={"status": status})
    eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "evicted"}}
    refused = await http.post(f"{PODS}/evicted/eviction", json=eviction)
    assert refused.status_code == 429
    assert refused.json()["details"]["causes"][0]["message"] == (
        "The disruption budget guard needs 1 healthy pods and has 1 currently"
    )
    await http.patch(f"{budgets}/guard/status", headers=MERGE, json={"status": {"disruptionsAllowed": 1}})
    assert (await http.post(f"{PODS}/evicted/eviction", json=eviction)).status_code == 201
    assert (await http.get(f"{PODS}/evicted")).json()["metadata"]["deletionTimestamp"]
    assert (await http.get(f"{budgets}/guard")).json()["status"]["disruptionsAllowed"] == 0


async def test_ephemeral_containers_and_resize_have_endpoints_of_their_own(http: httpx.AsyncClient) -> None:
    url = f"{PODS}/narrow"
    sized = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}
    await create(http, "narrow", containers=[sized])
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}
    added = await http.patch(f"{url}/ephemeralcontainers", headers=STRATEGIC, json=debug)
    assert added.status_code == 200, added.text
    assert added.json()["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"] == "File"
    bigger = {"spec": {"containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}}]}}
    direct = await http.patch(url, headers=STRATEGIC, json=bigger)
    assert direct.status_code == 422 and "pod updates may not change fields" in direct.json()["message"]
    resized = await http.patch(f"{url}/resize", headers=STRATEGIC, json=bigger)
    assert resized.status_code == 200, resized.text
    container = resized.json()["spec"]["containers"][0]
    assert (container["resources"], container["image"]) == ({"requests": {"cpu": "1"}}, "web:1")
    none = {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": None}}}]}}
    refused = await http.patch(f"{url}/resize", headers=STRATEGIC, json=none)
    assert refused.status_code == 422
    fields = {cause["field"]: cause["message"] for cause in refused.json()["details"]["causes"]}
    assert fields == {
        "spec": 'Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        "spec.containers[0].resources.requests": "Forbidden: resource requests cannot be removed",
    }


async def test_node_status_is_written_by_patch(http: httpx.AsyncClient) -> None:
    made = await http.post("/api/v1/nodes", json={"metadata": {"name": "n9"}, "status": {"capacity": {"cpu": "2"}}})
    assert made.json()["status"]["allocatable"] == {"cpu": "2"}
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok"}
    patched = await http.patch(
        "/api/v1/nodes/n9/status", headers=STRATEGIC, json={"status": {"conditions": [condition]}}
    )
    assert patched.json()["status"]["conditions"][0]["type"] == "Ready"
    assert patched.json()["status"]["capacity"] == {"cpu": "2"}


async def test_ephemeral_containers_are_only_added(http: httpx.AsyncClient) -> None:
    await create(http, "looked-at")
    url = f"{PODS}/looked-at/ephemeralcontainers"

    async def put(**container: Any) -> httpx.Response:
        return await http.patch(url, headers=STRATEGIC, json={"spec": {"ephemeralContainers": [container]}})

    added = (await put(name="debug", image="b", targetContainerName="main")).json()
    assert added["spec"]["ephemeralContainers"][0]["imagePullPolicy"] == "Always"
    for refused, words in (
        (await put(name="debug", image="c"), 'existing ephemeral containers "debug" may not be changed'),
        (await put(name="main", image="c"), 'spec.ephemeralContainers[0].name: Duplicate value: "main"'),
        (await put(name="b", image="c", targetContainerName="z"), 'targetContainerName: Not found: "z"'),
        (await put(name="b"), "image: Required value"),
    ):
        assert refused.status_code == 422
        assert words in refused.json()["message"]
