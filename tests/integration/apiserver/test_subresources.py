"""Eviction, binding, resize, ephemeral containers, approval, finalize and token: what each allows, and its words."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import orjson
import pytest

from k8slite.apiserver.verbs.eviction import check
from k8slite.errors import ApiError
from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = "/api/v1/namespaces/default"
PODS = f"{NAMESPACE}/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
READY = [{"type": "Ready", "status": "True"}]
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def create(http: httpx.AsyncClient, name: str, *, container: Any = None, **spec: Any) -> Any:
    body = {
        "metadata": {"name": name, "labels": {"pod": name}},
        "spec": {"containers": [{"name": "main", "image": "web:1", **(container or {})}], **spec},
    }
    answer = await http.post(PODS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def guarded(http: httpx.AsyncClient, name: str, *, ready: bool = True, budgets: int = 1, **status: Any) -> None:
    """A running pod on a node, and budgets for it with this status and spec."""
    await create(http, name, nodeName="n1")
    running = {"phase": "Running", "conditions": READY if ready else []}
    assert (await http.patch(f"{PODS}/{name}/status", headers=MERGE, json={"status": running})).is_success
    policy = status.pop("policy", None)
    for number in range(budgets):
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"pod": name}}}
        if policy:
            spec["unhealthyPodEvictionPolicy"] = policy
        budget = f"{name}-{number}"
        assert (await http.post(BUDGETS, json={"metadata": {"name": budget}, "spec": spec})).is_success
        filled = {"observedGeneration": 1, "expectedPods": 1, "currentHealthy": 1, "desiredHealthy": 1, **status}
        written = await http.patch(f"{BUDGETS}/{budget}/status", headers=MERGE, json={"status": filled})
        assert written.is_success, written.text


async def evict(http: httpx.AsyncClient, name: str, options: Any = None, query: str = "") -> Any:
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}}
    if options is not None:
        body["deleteOptions"] = options
    return await http.post(f"{PODS}/{name}/eviction{query}", json=body)


async def allowed(http: httpx.AsyncClient, name: str) -> int:
    return int((await http.get(f"{BUDGETS}/{name}-0")).json()["status"]["disruptionsAllowed"])


async def test_eviction_spends_the_budget_and_says_why_the_pod_goes(http: httpx.AsyncClient) -> None:
    await guarded(http, "spent", disruptionsAllowed=1)
    answer = await evict(http, "spent")
    assert (answer.status_code, answer.json()["status"]) == (201, "Success")
    pod = (await http.get(f"{PODS}/spent")).json()
    assert pod["metadata"]["deletionTimestamp"]
    target = pod["status"]["conditions"][-1]
    assert (target["type"], target["reason"], target["message"]) == (
        "DisruptionTarget",
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
    )
    status = (await http.get(f"{BUDGETS}/spent-0")).json()["status"]
    assert status["disruptionsAllowed"] == 0 and "spent" in status["disruptedPods"]
    assert [(c["type"], c["status"], c["reason"]) for c in status["conditions"]] == [
        ("DisruptionAllowed", "False", "InsufficientPods")
    ]


@pytest.mark.parametrize(
    ("status", "code", "message", "cause"),
    [
        ({"disruptionsAllowed": 0}, 429, REFUSED, "The disruption budget {} needs 1 healthy pods and has 1 currently"),
        (
            {"observedGeneration": 0, "disruptionsAllowed": 1},
            429,
            REFUSED,
            "The disruption budget {} is still being processed by the server.",
        ),
    ],
)
async def test_eviction_that_is_refused(
    http: httpx.AsyncClient, status: Any, code: int, message: str, cause: str
) -> None:
    name = f"kept{code}{status['disruptionsAllowed']}"
    await guarded(http, name, **status)
    answer = await evict(http, name)
    assert (answer.status_code, answer.json()["message"]) == (code, message.format(f"{name}-0"))
    causes = answer.json()["details"]["causes"]
    assert [(c["reason"], c["message"]) for c in causes] == [("DisruptionBudget", cause.format(f"{name}-0"))]
    assert answer.headers.get("retry-after") == ("10" if "processed" in cause else None)
    assert "deletionTimestamp" not in (await http.get(f"{PODS}/{name}")).json()["metadata"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("unready-enough", {"disruptionsAllowed": 0}, 201),
        ("unready-few", {"disruptionsAllowed": 0, "currentHealthy": 0}, 429),
        ("unready-always", {"disruptionsAllowed": 0, "currentHealthy": 0, "policy": "AlwaysAllow"}, 201),
    ],
)
async def test_pods_that_are_not_ready(http: httpx.AsyncClient, name: str, status: Any, code: int) -> None:
    await guarded(http, name, ready=False, **status)
    assert (await evict(http, name)).status_code == code
    assert await allowed(http, name) == 0


async def test_a_pod_that_has_ended_or_not_begun_goes_without_asking(http: httpx.AsyncClient) -> None:
    for phase in ("Pending", "Succeeded", "Failed"):
        name = f"phase-{phase.lower()}"
        await guarded(http, name, disruptionsAllowed=0)
        assert (await http.patch(f"{PODS}/{name}/status", headers=MERGE, json={"status": {"phase": phase}})).is_success
        assert (await evict(http, name)).status_code == 201


@pytest.mark.parametrize(
    ("name", "selector", "code"),
    [("everybody", {"selector": {}}, 429), ("nobody", {"selector": None}, 201), ("unsaid", {}, 201)],
)
async def test_an_empty_selector_guards_every_pod_and_none_guards_none(
    http: httpx.AsyncClient, name: str, selector: Any, code: int
) -> None:
    namespace = f"guarded-by-{name}"
    assert (await http.post("/api/v1/namespaces", json={"metadata": {"name": namespace}})).is_success
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    assert (await http.post(accounts, json={"metadata": {"name": "default"}})).is_success
    pods = f"/api/v1/namespaces/{namespace}/pods"
    body = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
    assert (await http.post(pods, json=body)).is_success
    running = {"status": {"phase": "Running", "conditions": READY}}
    assert (await http.patch(f"{pods}/p/status", headers=MERGE, json=running)).is_success
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, **selector}}
    assert (await http.post(budgets, json=budget)).is_success
    filled = {"observedGeneration": 1, "expectedPods": 1, "currentHealthy": 1, "desiredHealthy": 1}
    assert (await http.patch(f"{budgets}/b/status", headers=MERGE, json={"status": filled})).is_success
    eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p"}}
    assert (await http.post(f"{pods}/p/eviction", json=eviction)).status_code == code


async def test_evictions_at_once_spend_no_more_than_the_budget(http: httpx.AsyncClient) -> None:
    await guarded(http, "race", disruptionsAllowed=2)
    names = ["race", *(f"race-{number}" for number in range(5))]
    for name in names[1:]:
        await create(http, name, nodeName="n1")
        labelled = {"metadata": {"labels": {"pod": "race"}}}
        assert (await http.patch(f"{PODS}/{name}", headers=MERGE, json=labelled)).is_success
        running = {"status": {"phase": "Running", "conditions": READY}}
        assert (await http.patch(f"{PODS}/{name}/status", headers=MERGE, json=running)).is_success
    answers = await asyncio.gather(*(evict(http, name) for name in names))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 429, 429, 429, 429]
    pods = [(await http.get(f"{PODS}/{name}")).json()["metadata"] for name in names]
    assert len([meta for meta in pods if "deletionTimestamp" in meta]) == 2
    assert await allowed(http, "race") == 0


@pytest.mark.parametrize("subresource", ["eviction", "binding"])
async def test_an_object_for_another_namespace(http: httpx.AsyncClient, subresource: str) -> None:
    body = {"metadata": {"name": "nobody", "namespace": "other"}, "target": {"name": "n1"}}
    answer = await http.post(f"{PODS}/nobody/{subresource}", json=body)
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    )


async def test_two_budgets_are_one_too_many(http: httpx.AsyncClient) -> None:
    await guarded(http, "two", budgets=2, disruptionsAllowed=1)
    answer = await evict(http, "two")
    assert (answer.status_code, answer.json()["message"]) == (
        500,
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    )


@pytest.mark.parametrize(("options", "query"), [({"dryRun": ["All"]}, ""), (None, "?dryRun=All")])
async def test_a_dry_run_changes_nothing(http: httpx.AsyncClient, options: Any, query: str) -> None:
    name = "dry-query" if query else "dry-body"
    await guarded(http, name, disruptionsAllowed=1)
    before = (await http.get(f"{PODS}/{name}")).json()
    assert (await evict(http, name, options, query)).status_code == 201
    assert (await http.get(f"{PODS}/{name}")).json() == before
    assert await allowed(http, name) == 1


async def test_preconditions_and_names_of_evictions(http: httpx.AsyncClient) -> None:
    await guarded(http, "sure", disruptionsAllowed=3)
    for precondition in ({"uid": "other"}, {"resourceVersion": "1"}):
        assert (await evict(http, "sure", {"preconditions": precondition})).status_code == 409
    other = await http.post(f"{PODS}/sure/eviction", json={"metadata": {"name": "x"}})
    assert (other.status_code, other.json()["message"]) == (400, "name in URL does not match name in Eviction object")
    assert (await evict(http, "nobody")).json()["message"] == 'pods "nobody" not found'
    version = (await http.get(f"{PODS}/sure")).json()["metadata"]["resourceVersion"]
    good = {"preconditions": {"resourceVersion": version}, "gracePeriodSeconds": 7}
    assert (await evict(http, "sure", good)).status_code == 201
    assert (await http.get(f"{PODS}/sure")).json()["metadata"]["deletionGracePeriodSeconds"] == 7


async def test_kubectl_drain_waits_for_the_budget(server: RunningServer, http: httpx.AsyncClient) -> None:
    assert (await http.post("/api/v1/nodes", json={"metadata": {"name": "drained"}})).is_success
    await create(http, "drain-me", nodeName="drained")
    await http.patch(f"{PODS}/drain-me/status", headers=MERGE, json={"status": {"phase": "Succeeded"}})
    drained = await Kubectl(server)("drain", "drained", "--force", "--timeout=20s")
    assert "node/drained drained" in drained.out, drained.err


async def bind(http: httpx.AsyncClient, path: str, **body: Any) -> tuple[int, str]:
    answer = await http.post(path, json=body)
    return answer.status_code, answer.json().get("message", "")


async def test_binding(http: httpx.AsyncClient) -> None:
    await create(http, "bound")
    node = {"kind": "Node", "name": "n1"}
    path = f"{PODS}/bound/binding"
    assert await bind(http, path, metadata={"name": "x"}, target=node) == (
        400,
        "name in URL does not match name in Binding object",
    )
    code, message = await bind(http, path, metadata={"name": "bound"}, target={"kind": "Pod"})
    assert code == 422 and 'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"' in message
    assert "target.name: Required value" in message
    code, message = await bind(http, path, metadata={"name": "bound", "uid": "other"}, target=node)
    assert code == 409 and "Precondition failed: UID in precondition: other" in message
    legacy = {"name": "bound", "annotations": {"a": "b"}}
    assert (await bind(http, f"{NAMESPACE}/bindings", metadata=legacy, target=node))[0] == 201
    pod = (await http.get(f"{PODS}/bound")).json()
    assert (pod["spec"]["nodeName"], pod["metadata"]["annotations"]) == ("n1", {"a": "b"})
    code, message = await bind(http, path, metadata={"name": "bound"}, target=node)
    assert (code, message) == (
        409,
        'Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "n1"',
    )
    await create(http, "gated", schedulingGates=[{"name": "example.org/wait"}])
    code, message = await bind(http, f"{PODS}/gated/binding", metadata={"name": "gated"}, target=node)
    assert code == 409 and message.endswith("pod gated has non-empty .spec.schedulingGates")


def resources(**requests: str) -> Any:
    return {"spec": {"containers": [{"name": "main", "resources": {"requests": requests}}]}}


async def resize(http: httpx.AsyncClient, name: str, body: Any, headers: Any = STRATEGIC) -> tuple[int, str]:
    answer = await http.patch(f"{PODS}/{name}/resize", headers=headers, json=body)
    return answer.status_code, answer.json().get("message", "")


async def test_resize(http: httpx.AsyncClient) -> None:
    asked = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    await create(http, "sized", container={"resources": asked})
    body = resources(cpu="2")
    body["spec"]["containers"][0]["image"] = "other"
    body["metadata"] = {"labels": {"new": "label"}}
    assert (await resize(http, "sized", body))[0] == 200
    pod = (await http.get(f"{PODS}/sized")).json()
    container = pod["spec"]["containers"][0]
    assert container["resources"] == {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    assert (container["image"], pod["metadata"]["labels"]) == ("web:1", {"pod": "sized"})
    assert pod["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("resources", {}, 'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'),
        (
            "resources/requests",
            {"memory": "1Gi"},
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        (
            "resources/limits",
            {"cpu": "3"},
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
        ),
        ("resources/requests/ephemeral-storage", "1Gi", "spec: Forbidden: only cpu and memory resources are mutable"),
        (
            "resizePolicy",
            [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
            "spec: Forbidden: only cpu and memory resources are mutable",
        ),
        (
            "name",
            "renamed",
            "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
        ),
    ],
)
async def test_resize_that_is_refused(http: httpx.AsyncClient, path: str, value: Any, expected: str) -> None:
    if (await http.get(f"{PODS}/rigid")).status_code == 404:
        asked = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
        await create(http, "rigid", container={"resources": asked})
    patch = [{"op": "add", "path": f"/spec/containers/0/{path}", "value": value}]
    code, message = await resize(http, "rigid", patch, {"content-type": "application/json-patch+json"})
    assert code == 422 and expected in message, message


async def test_containers_are_neither_added_nor_removed_by_resize(http: httpx.AsyncClient) -> None:
    await create(http, "counted")
    code, message = await resize(http, "counted", {"spec": {"containers": []}}, MERGE)
    assert code == 422 and "spec.containers: Forbidden: containers may not be added or removed on resize" in message


async def test_ephemeral_containers_are_only_added(http: httpx.AsyncClient) -> None:
    await create(http, "debugged")
    url = f"{PODS}/debugged/ephemeralcontainers"
    debug = {"name": "debug", "image": "busybox"}
    body = {"spec": {"ephemeralContainers": [debug]}, "metadata": {"labels": {"new": "label"}}}
    added = await http.patch(url, headers=STRATEGIC, json=body)
    assert added.status_code == 200 and added.json()["metadata"]["labels"] == {"pod": "debugged"}
    changed = {"spec": {"ephemeralContainers": [{**debug, "image": "other"}]}}
    for body, word in ((changed, "changed"), ({"spec": {"ephemeralContainers": []}}, "removed")):
        answer = await http.patch(url, headers=MERGE, json=body)
        assert answer.status_code == 422
        assert f'existing ephemeral containers "debug" may not be {word}' in answer.json()["message"]


async def approve(http: httpx.AsyncClient, name: str, subresource: str, conditions: Any) -> tuple[int, Any]:
    answer = await http.patch(
        f"{REQUESTS}/{name}/{subresource}", headers=MERGE, json={"status": {"conditions": conditions}}
    )
    return answer.status_code, answer.json()


async def test_a_budget_that_is_out_of_order() -> None:
    """Validation keeps such a status out; a store may hold one of old."""
    for status, detail in (
        ({"disruptionsAllowed": -1}, "pdb disruptions allowed is negative"),
        ({"disruptedPods": {str(number): "" for number in range(2001)}}, "too many pending evictions not confirmed"),
    ):
        with pytest.raises(ApiError) as refused:
            check({"name": "guard"}, status)
        assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
        assert refused.value.message.startswith('poddisruptionbudget.policy "guard" is forbidden: ')
        assert detail in (refused.value.details or {})["causes"][0]["message"]


def condition(kind: str, **more: str) -> Any:
    return {"type": kind, "status": "True", "reason": "Test", **more}


def signing_request() -> str:
    """A real one: validation may look into it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    pem = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(pem.public_bytes(serialization.Encoding.PEM)).decode()


async def test_approval(server: RunningServer, http: httpx.AsyncClient) -> None:
    spec = {"request": signing_request(), "signerName": "example.org/signer", "usages": ["client auth"]}
    assert (await http.post(REQUESTS, json={"metadata": {"name": "wish"}, "spec": spec})).status_code == 201
    code, body = await approve(http, "wish", "status", [condition("Approved")])
    assert code == 422
    assert 'status.conditions: Forbidden: updates may not add a condition of type "Approved"' in body["message"]
    code, body = await approve(http, "wish", "approval", [condition("Approved"), condition("Denied")])
    assert code == 422 and "Approved and Denied conditions are mutually exclusive" in body["message"]
    code, body = await approve(http, "wish", "approval", [{"type": "Approved", "status": "False"}])
    assert code == 422 and 'status.conditions[0].status: Unsupported value: "False"' in body["message"]
    approved = await Kubectl(server)("certificate", "approve", "wish")
    assert "wish approved" in approved.out, approved.err
    found = (await http.get(f"{REQUESTS}/wish")).json()["status"]["conditions"]
    assert found[0]["type"] == "Approved" and found[0]["lastUpdateTime"] and found[0]["lastTransitionTime"]
    code, body = await approve(http, "wish", "approval", [])
    assert code == 422 and 'updates may not remove a condition of type "Approved"' in body["message"]
    code, body = await approve(http, "wish", "status", [*found, condition("Failed")])
    assert code == 200 and [c["type"] for c in body["status"]["conditions"]] == ["Approved", "Failed"]


async def test_finalize(http: httpx.AsyncClient) -> None:
    made = (await http.post("/api/v1/namespaces", json={"metadata": {"name": "final"}})).json()
    made["spec"]["finalizers"] = ["nonsense"]
    refused = await http.put("/api/v1/namespaces/final/finalize", json=made)
    assert refused.status_code == 422
    assert refused.json()["message"].endswith(
        'spec.finalizers[0]: Invalid value: "nonsense": '
        "name is neither a standard finalizer name nor is it fully qualified"
    )
    made["spec"]["finalizers"] = ["example.org/mine"]
    kept = (await http.put("/api/v1/namespaces/final/finalize", json=made)).json()
    assert kept["spec"]["finalizers"] == ["example.org/mine"]
    await http.delete("/api/v1/namespaces/final")
    gone = {**kept, "spec": {}}
    gone["metadata"].pop("resourceVersion")
    assert (await http.put("/api/v1/namespaces/final/finalize", json=gone)).status_code == 200
    assert (await http.get("/api/v1/namespaces/final")).status_code == 404


async def token(http: httpx.AsyncClient, spec: Any, **metadata: str) -> tuple[int, Any]:
    body = {"spec": spec, "metadata": metadata}
    answer = await http.post(f"{NAMESPACE}/serviceaccounts/default/token", json=body)
    return answer.status_code, answer.json()


def claims(body: Any) -> Any:
    payload = body["status"]["token"].split(".")[1]
    return orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def test_tokens(http: httpx.AsyncClient) -> None:
    code, body = await token(http, {"audiences": ["vault"], "expirationSeconds": 600})
    assert code == 201 and body["spec"] == {"audiences": ["vault"], "expirationSeconds": 600, "boundObjectRef": None}
    found = claims(body)
    assert found["aud"] == ["vault"] and found["exp"] - found["iat"] == 600
    account = (await http.get(f"{NAMESPACE}/serviceaccounts/default")).json()
    assert (body["metadata"]["name"], body["metadata"]["uid"]) == ("default", account["metadata"]["uid"])


@pytest.mark.parametrize(
    ("spec", "metadata", "code", "message"),
    [
        ({"expirationSeconds": 599}, {}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": (1 << 32) + 1}, {}, 422, "may not specify a duration larger than 2^32 seconds"),
        (
            {},
            {"uid": "other"},
            409,
            "the UID in the token request (other) does not match the UID of the service account",
        ),
        (
            {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}},
            {},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        ({"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "x"}}, {}, 404, 'secrets "x" not found'),
        ({"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "x"}}, {}, 404, 'nodes "x" not found'),
    ],
)
async def test_tokens_that_are_refused(
    http: httpx.AsyncClient, spec: Any, metadata: Any, code: int, message: str
) -> None:
    refused, body = await token(http, spec, **metadata)
    assert refused == code and message in body["message"], body


async def test_tokens_are_bound(http: httpx.AsyncClient) -> None:
    secret = (await http.post(f"{NAMESPACE}/secrets", json={"metadata": {"name": "bound"}})).json()["metadata"]
    reference = {"kind": "Secret", "apiVersion": "v1", "name": "bound"}
    code, body = await token(http, {"boundObjectRef": reference})
    assert code == 201
    assert claims(body)["kubernetes.io"]["secret"] == {"name": "bound", "uid": secret["uid"]}
    code, body = await token(http, {"boundObjectRef": {**reference, "uid": "other"}})
    assert code == 409
    assert body["message"].startswith(
        'Operation cannot be fulfilled on Secret "bound": the UID in the bound object reference (other) does not match'
    )
    await create(http, "holder", serviceAccountName="default", nodeName="n9")
    code, body = await token(http, {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "holder"}})
    private = claims(body)["kubernetes.io"]
    assert private["pod"]["name"] == "holder" and private["node"] == {"name": "n9"}
