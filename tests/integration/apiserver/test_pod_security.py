"""Pod Security over the wire: every way by which a pod comes to be or changes, and what kubectl shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from k8slite.testing.kubectl import Kubectl
from k8slite.testing.server import RunningServer, running_server

Document = dict[str, Any]
PREFIX = "pod-security.kubernetes.io/"
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
WHY = 'privileged (container "c" must not set securityContext.privileged=true)'

pytestmark = pytest.mark.asyncio(loop_scope="module")


def spec(**security: Any) -> Document:
    return {"containers": [{"name": "c", "image": "i", "securityContext": {**SAFE, **security}}]}


SAFE_SPEC = spec()
BAD_SPEC = spec(privileged=True, allowPrivilegeEscalation=True)


def pod(name: str, spec: Document = SAFE_SPEC, **metadata: Any) -> Document:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "spec": spec}


async def level(http: httpx.AsyncClient, namespace: str, **labels: str | None) -> httpx.Response:
    """Label a namespace."""
    given = {PREFIX + name.replace("_", "-"): value for name, value in labels.items()}
    return await http.patch(
        f"/api/v1/namespaces/{namespace}",
        json={"metadata": {"labels": given}},
        headers={"content-type": "application/merge-patch+json"},
    )


async def post(http: httpx.AsyncClient, namespace: str, body: Document, *, path: str = "/api/v1") -> httpx.Response:
    plural = body["kind"].lower() + "s"
    return await http.post(f"{path}/namespaces/{namespace}/{plural}", json=body)


def warned(answer: httpx.Response) -> list[str]:
    """The texts of the Warning headers."""
    texts = [text for name, text in answer.headers.multi_items() if name == "warning"]
    return [text.removeprefix('299 - "').removesuffix('"').replace('\\"', '"') for text in texts]


async def test_a_pod_that_the_namespace_forbids_is_refused_with_all_reasons(
    http: httpx.AsyncClient, namespace: str
) -> None:
    assert (await level(http, namespace, enforce="restricted")).status_code == 200
    plain = {"containers": [{"name": "c", "image": "i"}]}
    refused = await post(http, namespace, pod("x", plain))
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container '
        '"c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must '
        'set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set '
        'securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    assert (refused.json()["reason"], refused.json()["details"]) == ("Forbidden", {"name": "x", "kind": "pods"})
    assert warned(refused) == []
    generated = {**pod("", plain), "metadata": {"generateName": "gen-"}}
    assert (await post(http, namespace, generated)).json()["message"].startswith('pods "gen-')
    assert (await post(http, namespace, pod("x"))).status_code == 201


async def test_no_way_leads_around_it(http: httpx.AsyncClient, namespace: str) -> None:
    assert (await level(http, namespace, enforce="baseline", warn="privileged")).status_code == 200
    pods = f"/api/v1/namespaces/{namespace}/pods"
    says = f'violates PodSecurity "baseline:latest": {WHY}'
    # Creation: POST, dry run, apply, in any version that there is.
    for answer in (
        await http.post(pods, json=pod("bad", BAD_SPEC)),
        await http.post(pods + "?dryRun=All", json=pod("bad", BAD_SPEC)),
        await http.patch(
            pods + "/bad?fieldManager=m",
            json=pod("bad", BAD_SPEC),
            headers={"content-type": "application/apply-patch+yaml"},
        ),
    ):
        assert (answer.status_code, says in answer.text.replace('\\"', '"')) == (403, True), answer.text
    assert (await http.get(pods)).json()["items"] == []

    # Ephemeral containers, by PUT and by every patch.
    assert (await post(http, namespace, pod("good"))).status_code == 201
    debugger = {"name": "c2", "image": "i", "securityContext": {"privileged": True}}
    current = (await http.get(f"{pods}/good")).json()
    current["spec"]["ephemeralContainers"] = [debugger]
    place = f"{pods}/good/ephemeralcontainers"
    patches: dict[str, Any] = {
        "application/merge-patch+json": {"spec": {"ephemeralContainers": [debugger]}},
        "application/strategic-merge-patch+json": {"spec": {"ephemeralContainers": [debugger]}},
        "application/json-patch+json": [{"op": "add", "path": "/spec/ephemeralContainers", "value": [debugger]}],
    }
    answers = [await http.put(place, json=current)]
    answers += [await http.patch(place, json=body, headers={"content-type": kind}) for kind, body in patches.items()]
    applied = {**pod("good", {"ephemeralContainers": [debugger]})}
    answers.append(
        await http.patch(
            place + "?fieldManager=m", json=applied, headers={"content-type": "application/apply-patch+yaml"}
        )
    )
    assert [answer.status_code for answer in answers] == [403] * 5, [answer.text for answer in answers]
    assert all('container \\"c2\\" must not set securityContext.privileged=true' in answer.text for answer in answers)
    assert "ephemeralContainers" not in (await http.get(f"{pods}/good")).json()["spec"]
    debugger["securityContext"] = {"privileged": False}
    assert (await http.put(place, json=current)).status_code == 200


async def test_pods_that_are_there_may_be_changed_as_far_as_it_does_not_matter(
    http: httpx.AsyncClient, namespace: str
) -> None:
    assert (await post(http, namespace, pod("old", BAD_SPEC))).status_code == 201
    assert (await level(http, namespace, enforce="baseline")).status_code == 200
    place = f"/api/v1/namespaces/{namespace}/pods/old"
    merge = {"content-type": "application/merge-patch+json"}
    labelled = await http.patch(place, json={"metadata": {"labels": {"a": "b"}}}, headers=merge)
    assert labelled.status_code == 200, labelled.text
    status = await http.patch(place + "/status", json={"status": {"phase": "Running"}}, headers=merge)
    assert status.status_code == 200, status.text
    resources = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}}
    strategic = {"content-type": "application/strategic-merge-patch+json"}
    resized = await http.patch(place + "/resize", json=resources, headers=strategic)
    assert "PodSecurity" not in resized.text
    image = {"spec": {"containers": [{"name": "c", "image": "other"}]}}
    refused = await http.patch(place, json=image, headers=strategic)
    assert (refused.status_code, "violates PodSecurity" in refused.text) == (403, True)
    assert (await http.delete(place + "?gracePeriodSeconds=0")).status_code == 200


TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": BAD_SPEC}
SELECTED = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
JOB = {"template": {**TEMPLATE, "spec": {**BAD_SPEC, "restartPolicy": "Never"}}}
WORKLOADS: dict[tuple[str, str], Document] = {
    ("/api/v1", "PodTemplate"): {"template": TEMPLATE},
    ("/api/v1", "ReplicationController"): {"spec": {"selector": {"a": "b"}, "template": TEMPLATE}},
    ("/apis/apps/v1", "Deployment"): {"spec": SELECTED},
    ("/apis/apps/v1", "ReplicaSet"): {"spec": SELECTED},
    ("/apis/apps/v1", "StatefulSet"): {"spec": {**SELECTED, "serviceName": "s"}},
    ("/apis/apps/v1", "DaemonSet"): {"spec": SELECTED},
    ("/apis/batch/v1", "Job"): {"spec": JOB},
    ("/apis/batch/v1", "CronJob"): {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}},
}


async def test_workloads_are_never_refused_but_their_authors_are_warned(
    http: httpx.AsyncClient, namespace: str
) -> None:
    await level(http, namespace, enforce="baseline", enforce_version="v1.30")
    for (path, kind), content in WORKLOADS.items():
        body = {"kind": kind, "apiVersion": path.split("/", 2)[2], "metadata": {"name": "w"}, **content}
        made = await post(http, namespace, body, path=path)
        assert made.status_code == 201, made.text
        assert [text for text in warned(made) if "PodSecurity" in text] == [
            f'would violate PodSecurity "baseline:v1.30": {WHY}'
        ], kind
        place = f"{path}/namespaces/{namespace}/{kind.lower()}s/w"
        changed = await http.patch(
            place, json={"metadata": {"labels": {"x": "y"}}}, headers={"content-type": "application/merge-patch+json"}
        )
        assert any("would violate PodSecurity" in text for text in warned(changed)), kind
    await level(http, namespace, warn="privileged")
    again = await post(
        http,
        namespace,
        {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "w2"}, "spec": SELECTED},
        path="/apis/apps/v1",
    )
    assert (again.status_code, warned(again)) == (201, [])
    empty = {"kind": "ReplicationController", "apiVersion": "v1", "metadata": {"name": "none"}, "spec": {"replicas": 0}}
    assert "PodSecurity" not in (await post(http, namespace, empty)).text


async def test_wrong_labels_are_refused_unless_they_were_there(http: httpx.AsyncClient, namespace: str) -> None:
    refused = await level(http, namespace, enforce="strict", warn_version="1.2")
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        f'Namespace "{namespace}" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: '
        '"strict": must be one of privileged, baseline, restricted, '
        'metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.2": must be "latest" or "v1.x"]'
    )
    made = await http.post("/api/v1/namespaces", json={"metadata": {"name": "x", "labels": {PREFIX + "audit": "no"}}})
    assert made.status_code == 422
    place = f"/api/v1/namespaces/{namespace}"
    current = (await http.get(place)).json()
    current["metadata"]["labels"][PREFIX + "enforce"] = "strict"
    assert (await http.put(place, json=current)).status_code == 422
    applied = {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": namespace, "labels": {PREFIX + "warn": "x"}},
    }
    headers = {"content-type": "application/apply-patch+yaml"}
    assert (await http.patch(place + "?fieldManager=m", json=applied, headers=headers)).status_code == 422


async def test_a_new_level_tells_of_the_pods_that_it_would_refuse(http: httpx.AsyncClient, namespace: str) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    bodies = [pod(f"bad-{number}", BAD_SPEC, ownerReferences=[owner]) for number in range(3)]
    bodies += [pod("also", BAD_SPEC), pod("good"), pod("host", {**SAFE_SPEC, "hostNetwork": True})]
    made = await asyncio.gather(*(post(http, namespace, body) for body in bodies))
    assert {answer.status_code for answer in made} == {201}, [answer.text for answer in made]
    told = await level(http, namespace, enforce="restricted")
    assert warned(told) == [
        f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "restricted:latest"',
        "also (and 3 other pods): privileged, allowPrivilegeEscalation != false",
        "host: host namespaces",
    ]
    assert warned(await level(http, namespace, enforce="baseline")) == []  # less is asked than was
    assert warned(await level(http, namespace, enforce="baseline", audit="restricted")) == []
    assert len(warned(await level(http, namespace, enforce="baseline", enforce_version="v1.20"))) == 3
    assert warned(await level(http, namespace, enforce=None, enforce_version=None)) == []


async def test_metrics_count_what_was_judged(http: httpx.AsyncClient, namespace: str) -> None:
    async def counted() -> float:
        line = (
            'pod_security_evaluations_total{decision="deny",mode="enforce",policy_level="baseline",'
            'policy_version="v1.29",request_operation="create",resource="pod",subresource=""} '
        )
        text = (await http.get("/metrics")).text
        return sum(float(found.removeprefix(line)) for found in text.splitlines() if found.startswith(line))

    before = await counted()
    await level(http, namespace, enforce="baseline", enforce_version="v1.29")
    assert (await post(http, namespace, pod("x", BAD_SPEC))).status_code == 403
    assert await counted() == before + 1


# What an administrator configures.


@pytest.fixture
async def configured(tmp_path: Path) -> AsyncIterator[RunningServer]:
    own = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "baseline"},
        "exemptions": {"usernames": ["trusted"], "namespaces": ["free"], "runtimeClasses": ["kata"]},
    }
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    plugins = [{"name": "PodSecurity", "path": "own.yaml"}]
    (tmp_path / "admission.yaml").write_text(yaml.safe_dump({**head, "plugins": plugins}))
    async with running_server(admission_control_config_file=tmp_path / "admission.yaml") as server:
        yield server


@pytest.mark.asyncio(loop_scope="function")
async def test_defaults_and_exemptions(configured: RunningServer) -> None:
    trusted = configured.client_config("trusted", ["system:masters"])
    async with configured.http() as http, configured.http(trusted) as friend:
        assert (await post(http, "default", pod("x", BAD_SPEC))).status_code == 403
        assert (await post(friend, "default", pod("x", BAD_SPEC))).status_code == 201
        kata = {"kind": "RuntimeClass", "apiVersion": "node.k8s.io/v1", "metadata": {"name": "kata"}, "handler": "k"}
        await http.post("/apis/node.k8s.io/v1/runtimeclasses", json=kata)
        body = pod("y", {**BAD_SPEC, "runtimeClassName": "kata"})
        assert (await post(http, "default", body)).status_code == 201
        made = await http.post(
            "/api/v1/namespaces", json={"metadata": {"name": "free", "labels": {PREFIX + "enforce": "restricted"}}}
        )
        assert warned(made) == [
            'namespace "free" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored'
        ]
        await http.post("/api/v1/namespaces/free/serviceaccounts", json={"metadata": {"name": "default"}})
        assert (await post(http, "free", pod("x", BAD_SPEC))).status_code == 201
        assert (await level(http, "default", enforce="privileged")).status_code == 200
        assert (await post(http, "default", pod("z", BAD_SPEC))).status_code == 201


@pytest.mark.asyncio(loop_scope="function")
async def test_kubectl_shows_refusals_and_warnings() -> None:
    async with running_server() as server:
        kubectl = Kubectl(server)
        assert (await kubectl("create", "-f", "-", stdin=yaml.safe_dump(pod("old", BAD_SPEC)))).code == 0
        labelled = await kubectl("label", "ns", "default", PREFIX + "enforce=restricted")
        assert labelled.code == 0
        assert labelled.err.splitlines() == [
            'Warning: existing pods in namespace "default" violate the new PodSecurity enforce level '
            '"restricted:latest"',
            "Warning: old: privileged, allowPrivilegeEscalation != false",
        ]
        refused = await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(pod("new", BAD_SPEC)))
        assert refused.code == 1
        assert f'pods "new" is forbidden: violates PodSecurity "restricted:latest": {WHY}' in refused.err
        made = await kubectl("create", "deployment", "web", "--image=nginx")
        assert made.out == "deployment.apps/web created"
        assert 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation' in made.err
        wrong = await kubectl("label", "ns", "default", "--overwrite", PREFIX + "enforce=none")
        assert "must be one of privileged, baseline, restricted" in wrong.err
