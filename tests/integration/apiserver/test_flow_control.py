"""API priority and fairness as clients see it: which level a request is of, and the objects that say so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from k8slite.connection import ClientConfig
from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMAS, LEVELS = f"{GROUP}/flowschemas", f"{GROUP}/prioritylevelconfigurations"
AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"
PATCH = {"content-type": "application/merge-patch+json"}
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}


async def eventually(
    http: httpx.AsyncClient, path: str, condition: Callable[[httpx.Response], bool], *, within: float = 20
) -> httpx.Response:
    """The first answer to a GET that meets the condition."""
    async with asyncio.timeout(within):
        while True:
            answer = await http.get(path)
            if condition(answer):
                return answer
            await asyncio.sleep(0.02)


def dangling(answer: httpx.Response) -> dict[str, Any]:
    """The condition `Dangling` of a schema; empty if it has none."""
    conditions = answer.json().get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Dangling"), {})


async def names_of(http: httpx.AsyncClient) -> dict[str, str]:
    """The names of schemas and levels by UID."""
    items = [item for path in (SCHEMAS, LEVELS) for item in (await http.get(path)).json()["items"]]
    return {item["metadata"]["uid"]: item["metadata"]["name"] for item in items}


async def classified(server: RunningServer, config: ClientConfig, method: str, path: str) -> tuple[str, str]:
    """The names of the schema and the level of a request."""
    async with server.http() as admin, server.http(config) as client:
        answer = await client.request(method, path)
        names = await names_of(admin)
    return (
        names[answer.headers["x-kubernetes-pf-flowschema-uid"]],
        names[answer.headers["x-kubernetes-pf-prioritylevel-uid"]],
    )


def schema(name: str, *, level: str, subject: dict[str, Any], precedence: int = 50) -> dict[str, Any]:
    rule = {"subjects": [subject], "resourceRules": [EVERYTHING]}
    spec = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rule]}
    return {"metadata": {"name": name}, "spec": spec}


LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n"
PODS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(
    ("user", "groups", "path", "expected"),
    [
        ("root", ["system:masters"], PODS, ("exempt", "exempt")),
        ("alice", [], "/healthz", ("probes", "exempt")),
        ("alice", [], "/livez/ping", ("probes", "exempt")),
        ("alice", [], "/version", ("global-default", "global-default")),
        ("alice", [], PODS, ("global-default", "global-default")),
        ("system:node:n", ["system:nodes"], LEASE, ("system-node-high", "node-high")),
        ("system:node:n", ["system:nodes"], "/api/v1/nodes/n", ("system-node-high", "node-high")),
        ("system:node:n", ["system:nodes"], PODS, ("system-nodes", "system")),
        ("system:kube-scheduler", [], LEASE, ("system-leader-election", "leader-election")),
        ("system:kube-scheduler", [], PODS, ("kube-scheduler", "workload-high")),
        ("system:kube-controller-manager", [], PODS, ("kube-controller-manager", "workload-high")),
        ("system:serviceaccount:kube-system:a", [], LEASE, ("system-leader-election", "leader-election")),
        ("system:serviceaccount:kube-system:a", [], PODS, ("kube-system-service-accounts", "workload-high")),
        (
            "system:serviceaccount:default:a",
            ["system:serviceaccounts"],
            PODS,
            ("service-accounts", "workload-low"),
        ),
    ],
)
async def test_whose_request_is_of_which_level(
    server: RunningServer, user: str, groups: list[str], path: str, expected: tuple[str, str]
) -> None:
    assert await classified(server, server.client_config(user, groups), "GET", path) == expected


@pytest.mark.parametrize(
    ("kind", "subject", "matches", "other"),
    [
        ("user", {"kind": "User", "user": {"name": "ursula"}}, ("ursula", []), ("ulf", [])),
        ("group", {"kind": "Group", "group": {"name": "gang"}}, ("gina", ["gang"]), ("gustav", ["gangs"])),
        (
            "account",
            {"kind": "ServiceAccount", "serviceAccount": {"name": "robot", "namespace": "apart"}},
            ("system:serviceaccount:apart:robot", []),
            ("system:serviceaccount:apart:robots", []),
        ),
        (
            "accounts",
            {"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "away"}},
            ("system:serviceaccount:away:any", []),
            ("system:serviceaccount:away-too:any", []),
        ),
    ],
)
async def test_requests_are_classified_by_a_new_schema(
    server: RunningServer,
    http: httpx.AsyncClient,
    kind: str,
    subject: dict[str, Any],
    matches: tuple[str, list[str]],
    other: tuple[str, list[str]],
) -> None:
    limited = {"nominalConcurrencyShares": 3, "limitResponse": {"type": "Reject"}}
    level = {"metadata": {"name": f"by-{kind}"}, "spec": {"type": "Limited", "limited": limited}}
    assert (await http.post(LEVELS, json=level)).status_code == 201
    made = await http.post(SCHEMAS, json=schema(f"by-{kind}", level=f"by-{kind}", subject=subject))
    assert made.status_code == 201, made.text
    found = await eventually(http, f"{SCHEMAS}/by-{kind}", lambda answer: bool(dangling(answer)))
    assert dangling(found)["status"] == "False"
    assert await classified(server, server.client_config(*matches), "GET", PODS) == (f"by-{kind}", f"by-{kind}")
    assert await classified(server, server.client_config(*other), "GET", PODS) == ("global-default", "global-default")
    for path in (f"{SCHEMAS}/by-{kind}", f"{LEVELS}/by-{kind}"):
        assert (await http.delete(path)).status_code == 200


async def test_refusals_and_missing_pages_are_classified_too(server: RunningServer) -> None:
    config = server.client_config("alice")
    for method, path in (("GET", "/api/v1/secrets"), ("POST", "/apis/none.example/v1/things"), ("GET", "/nowhere")):
        assert await classified(server, config, method, path) == ("global-default", "global-default")


async def test_a_stranger_has_no_flow(server: RunningServer) -> None:
    async with server.http(ClientConfig(server=server.url, ca_file=server.admin.ca_file, token="wrong")) as client:
        answer = await client.get(PODS)
    assert answer.status_code == 401
    assert "x-kubernetes-pf-flowschema-uid" not in answer.headers


@pytest.mark.parametrize("path", [f"{SCHEMAS}/catch-all", f"{SCHEMAS}/service-accounts", f"{LEVELS}/exempt"])
async def test_what_every_cluster_has_comes_back(http: httpx.AsyncClient, path: str) -> None:
    before = (await http.get(path)).json()
    assert (await http.delete(path)).status_code == 200
    after = await eventually(http, path, lambda answer: answer.status_code == 200)
    assert after.json()["metadata"]["uid"] != before["metadata"]["uid"]
    assert after.json()["spec"] == before["spec"]


async def test_a_suggested_level_is_kept_until_someone_takes_it_over(http: httpx.AsyncClient) -> None:
    path = f"{LEVELS}/workload-low"
    other: dict[str, Any] = {"spec": {"limited": {"nominalConcurrencyShares": 77}}}
    assert (await http.patch(path, json=other, headers=PATCH)).status_code == 200
    kept = await eventually(
        http, path, lambda answer: answer.json()["spec"]["limited"]["nominalConcurrencyShares"] == 100
    )
    generation = kept.json()["metadata"]["generation"]
    other["metadata"] = {"annotations": {AUTOUPDATE: "false"}}
    changed = (await http.patch(path, json=other, headers=PATCH)).json()
    assert changed["metadata"]["generation"] == generation + 1
    # What is kept is looked at in order: once this one is back, the other has been left alone.
    assert (await http.delete(f"{SCHEMAS}/global-default")).status_code == 200
    await eventually(http, f"{SCHEMAS}/global-default", lambda answer: answer.status_code == 200)
    left = (await http.get(path)).json()
    assert left["spec"]["limited"]["nominalConcurrencyShares"] == 77
    taken_back = {"metadata": {"annotations": {AUTOUPDATE: "true"}}}
    assert (await http.patch(path, json=taken_back, headers=PATCH)).status_code == 200
    await eventually(http, path, lambda answer: answer.json()["spec"]["limited"]["nominalConcurrencyShares"] == 100)


async def test_what_no_cluster_has_any_more_goes(http: httpx.AsyncClient) -> None:
    subject = {"kind": "User", "user": {"name": "nobody"}}
    old = schema("once-suggested", level="exempt", subject=subject)
    old["metadata"]["annotations"] = {AUTOUPDATE: "true"}
    assert (await http.post(SCHEMAS, json=old)).status_code == 201
    await eventually(http, f"{SCHEMAS}/once-suggested", lambda answer: answer.status_code == 404)


async def test_a_schema_dangles_until_its_level_exists(server: RunningServer, http: httpx.AsyncClient) -> None:
    subject = {"kind": "User", "user": {"name": "dora"}}
    assert (await http.post(SCHEMAS, json=schema("dora", level="later", subject=subject))).status_code == 201
    found = await eventually(http, f"{SCHEMAS}/dora", lambda answer: bool(dangling(answer)))
    condition = dangling(found)
    assert (condition["status"], condition["reason"]) == ("True", "NotFound")
    assert condition["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "later" but there is no such object'
    )
    config = server.client_config("dora")
    assert await classified(server, config, "GET", PODS) == ("global-default", "global-default")
    limited = {"limitResponse": {"type": "Queue", "queuing": {}}}
    level = {"metadata": {"name": "later"}, "spec": {"type": "Limited", "limited": limited}}
    assert (await http.post(LEVELS, json=level)).status_code == 201
    found = await eventually(http, f"{SCHEMAS}/dora", lambda answer: dangling(answer)["status"] == "False")
    assert dangling(found)["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "later" and it exists'
    )
    assert await classified(server, config, "GET", PODS) == ("dora", "later")
    assert (await http.delete(f"{LEVELS}/later")).status_code == 200
    await eventually(http, f"{SCHEMAS}/dora", lambda answer: dangling(answer)["status"] == "True")
    assert await classified(server, config, "GET", PODS) == ("global-default", "global-default")
    assert (await http.delete(f"{SCHEMAS}/dora")).status_code == 200


MANIFEST = """
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: by-kubectl}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 5, limitResponse: {type: Queue, queuing: {queues: 4, handSize: 2}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: by-kubectl}
spec:
  priorityLevelConfiguration: {name: by-kubectl}
  matchingPrecedence: 77
  rules:
  - subjects: [{kind: User, user: {name: kurt}}]
    nonResourceRules: [{verbs: [get], nonResourceURLs: [/version]}]
"""


async def test_kubectl_makes_shows_and_deletes_a_level(server: RunningServer, http: httpx.AsyncClient) -> None:
    kubectl = Kubectl(server)
    made = await kubectl("create", "-f", "-", stdin=MANIFEST)
    assert made.out.splitlines() == [
        "prioritylevelconfiguration.flowcontrol.apiserver.k8s.io/by-kubectl created",
        "flowschema.flowcontrol.apiserver.k8s.io/by-kubectl created",
    ]
    await eventually(http, f"{SCHEMAS}/by-kubectl", lambda answer: bool(dangling(answer)))
    shown = await kubectl("get", "flowschema", "by-kubectl", "--no-headers")
    assert shown.out.split()[:4] == ["by-kubectl", "by-kubectl", "77", "<none>"]
    assert shown.out.split()[-1] == "False"
    shown = await kubectl("get", "prioritylevelconfiguration", "by-kubectl", "--no-headers")
    assert shown.out.split()[:6] == ["by-kubectl", "Limited", "5", "4", "2", "50"]
    kurt = server.client_config("kurt")
    assert await classified(server, kurt, "GET", "/version") == ("by-kubectl", "by-kubectl")
    assert await classified(server, kurt, "GET", PODS) == ("global-default", "global-default")
    deleted = await kubectl("delete", "-f", "-", stdin=MANIFEST)
    assert deleted.code == 0, deleted.err


async def test_dumps_show_levels_queues_and_requests(server: RunningServer) -> None:
    kubectl = Kubectl(server)
    base = "/debug/api_priority_and_fairness"
    levels = (await kubectl("get", "--raw", f"{base}/dump_priority_levels")).out.splitlines()
    assert re.split(r",\s+", levels[0])[:4] == ["PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing"]
    rows = {row[0]: row for row in (re.split(r",\s+", line) for line in levels[1:])}
    assert {"exempt", "catch-all", "system", "workload-low"} <= rows.keys()
    assert rows["exempt"][5] == "1"  # the one that asks
    assert int(rows["exempt"][6]) > 0
    queues = (await kubectl("get", "--raw", f"{base}/dump_queues")).out.splitlines()
    assert sum(line.startswith("system,") for line in queues) == 64
    requests = (await kubectl("get", "--raw", f"{base}/dump_requests")).out.splitlines()
    assert re.split(r",\s+", requests[0])[:3] == ["PriorityLevelName", "FlowSchemaName", "QueueIndex"]
    alice = Kubectl(server, server.client_config("alice"))
    assert "forbidden" in (await alice("get", "--raw", f"{base}/dump_queues")).err


async def test_metrics_have_kubernetes_names(http: httpx.AsyncClient) -> None:
    text = (await http.get("/metrics")).text
    value = re.search(
        r'apiserver_flowcontrol_dispatched_requests_total\{flow_schema="exempt",priority_level="exempt"\} (\S+)', text
    )
    assert value is not None
    assert float(value[1]) > 0
    assert 'apiserver_flowcontrol_nominal_limit_seats{priority_level="workload-low"}' in text
