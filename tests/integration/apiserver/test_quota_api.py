"""A quota is charged by every way in which an object is made or enlarged, and says what it counts through kubectl.

No controllers run here: the tests write what these would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

Document = dict[str, Any]
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


async def quota(http: httpx.AsyncClient, namespace: str, hard: Document, used: Document | None = None) -> str:
    """A quota that was counted; its path."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    made = await http.post(path, json={"metadata": {"name": "q"}, "spec": {"hard": hard}})
    assert made.status_code == 201, made.text
    status = {"hard": hard, "used": dict.fromkeys(hard, "0") | (used or {})}
    counted = await http.patch(f"{path}/q/status", json={"status": status}, headers=MERGE)
    assert counted.status_code == 200, counted.text
    return f"{path}/q"


async def used(http: httpx.AsyncClient, path: str) -> Document:
    found: Document = (await http.get(path)).json()["status"]["used"]
    return found


async def test_every_way_to_make_an_object_is_charged(http: httpx.AsyncClient, namespace: str) -> None:
    path = await quota(http, namespace, {"count/leases.coordination.k8s.io": "3"})
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"leaseDurationSeconds": 5}}

    async def attempts(number: int) -> list[httpx.Response]:
        def named(name: str) -> Document:
            return {**body, "metadata": {"name": f"{name}{number}", "namespace": namespace}}

        return [
            await http.post(leases, json={**body, "metadata": {"generateName": "generated-"}}),
            await http.put(f"{leases}/put{number}", json=named("put")),
            await http.patch(
                f"{leases}/applied{number}", json=named("applied"), headers=APPLY, params={"fieldManager": "t"}
            ),
        ]

    assert [answer.status_code for answer in await attempts(1)] == [201, 201, 201]
    assert await used(http, path) == {"count/leases.coordination.k8s.io": "3"}
    for answer in await attempts(2):
        assert answer.status_code == 403, answer.text
        assert (
            "is forbidden: exceeded quota: q, requested: count/leases.coordination.k8s.io=1, "
            "used: count/leases.coordination.k8s.io=3, limited: count/leases.coordination.k8s.io=3"
        ) in answer.json()["message"]
    assert await used(http, path) == {"count/leases.coordination.k8s.io": "3"}
    changed = await http.patch(f"{leases}/put1", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert changed.status_code == 200


async def test_every_way_to_change_a_service_is_charged(http: httpx.AsyncClient, namespace: str) -> None:
    path = await quota(http, namespace, {"services.nodeports": "0"})
    services = f"/api/v1/namespaces/{namespace}/services"
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    made = (await http.post(services, json=body)).json()
    ported = {**made, "spec": {**made["spec"], "type": "NodePort"}}
    applied = {**body, "spec": {"type": "NodePort"}}
    json_patch = [{"op": "replace", "path": "/spec/type", "value": "NodePort"}]
    one = f"{services}/s"
    answers = [
        await http.put(one, json=ported),
        await http.patch(one, json={"spec": {"type": "NodePort"}}, headers=MERGE),
        await http.patch(one, json=json_patch, headers={"content-type": "application/json-patch+json"}),
        await http.patch(one, json=applied, headers=APPLY, params={"fieldManager": "t", "force": "true"}),
    ]
    for answer in answers:
        assert answer.status_code == 403, answer.text
        assert "exceeded quota: q, requested: services.nodeports=1" in answer.json()["message"]
    assert (await http.get(one)).json()["spec"]["type"] == "ClusterIP"
    assert await used(http, path) == {"services.nodeports": "0"}


async def test_a_count_that_begins_marks_what_it_counts(
    server: RunningServer, http: httpx.AsyncClient, namespace: str
) -> None:
    async def marks() -> list[str]:
        found = await server.app.store.range(f"/internal.k8slite.io/quotamarks/{namespace}/")
        return [record.key.rpartition("/")[2] for record in found.records]

    path = await quota(http, namespace, {"secrets": "1", "configmaps": "5", "count/leases.coordination.k8s.io": "1"})
    other = {"metadata": {"name": "other"}, "spec": {"hard": {"pods": "1"}}}
    await http.post(f"/api/v1/namespaces/{namespace}/resourcequotas", json=other)
    begins = {"countBegins": "secrets,count/leases.coordination.k8s.io,pods"}
    before = (await http.get(path)).json()
    for _ in range(2):
        begun = await http.patch(f"{path}/status", json={}, headers=MERGE, params=begins)
        assert begun.json() == before
    assert await marks() == ["leases.coordination.k8s.io", "secrets"]
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    assert (await http.post(secrets, json={"metadata": {"name": "s"}})).status_code == 201
    assert (await http.delete(f"{secrets}/s")).status_code == 200
    assert (await http.delete(path)).status_code == 200
    assert len(await marks()) == 2
    # The last quota of a namespace takes them along.
    assert (await http.delete(f"/api/v1/namespaces/{namespace}/resourcequotas/other")).status_code == 200
    assert await marks() == []


async def test_what_is_not_counted_yet_is_refused(http: httpx.AsyncClient, namespace: str) -> None:
    path = await quota(http, namespace, {"secrets": "1"})
    await http.patch(f"{path}/status", json={"status": {"used": None}}, headers=MERGE)
    secret = {"metadata": {"name": "s"}}
    refused = await http.post(f"/api/v1/namespaces/{namespace}/secrets", json=secret)
    assert refused.json()["message"] == ('secrets "s" is forbidden: status unknown for quota: q, resources: secrets')
    assert (await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=secret)).status_code == 201


async def test_kubectl_makes_shows_and_meets_quotas(
    server: RunningServer, http: httpx.AsyncClient, namespace: str
) -> None:
    kubectl = Kubectl(server)
    made = await kubectl("create", "quota", "few", "--hard=pods=1,requests.cpu=1", "-n", namespace)
    assert made.out == "resourcequota/few created", made.err
    status = {"hard": {"pods": "1", "requests.cpu": "1"}, "used": {"pods": "0", "requests.cpu": "0"}}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/few"
    await http.patch(f"{path}/status", json={"status": status}, headers=MERGE)
    refused = await kubectl("run", "p", "--image=i", "-n", namespace)
    assert refused.err == (
        'Error from server (Forbidden): pods "p" is forbidden: failed quota: few: must specify requests.cpu for: p'
    )
    overrides = '{"spec":{"containers":[{"name":"p","image":"i","resources":{"requests":{"cpu":"400m"}}}]}}'
    assert (await kubectl("run", "p", "--image=i", "-n", namespace, f"--overrides={overrides}")).code == 0
    refused = await kubectl("run", "q", "--image=i", "-n", namespace, f"--overrides={overrides}")
    assert refused.err == (
        'Error from server (Forbidden): pods "q" is forbidden: '
        "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1"
    )
    shown = (await kubectl("describe", "quota", "few", "-n", namespace)).out.split()
    assert " ".join(shown).endswith("pods 1 1 requests.cpu 400m 1")


async def test_limited_resources_need_a_quota(tmp_path: Path) -> None:
    limited = [
        {"resource": "pods", "matchScopes": [{"scopeName": "PriorityClass", "operator": "In", "values": ["vip"]}]}
    ]
    limited.append({"resource": "persistentvolumeclaims", "matchContains": ["gold.storageclass"]})
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "ResourceQuotaConfiguration",
        "limitedResources": limited,
    }
    plugins = [{"name": "ResourceQuota", "configuration": configuration}]
    file = tmp_path / "admission.yaml"
    file.write_text(
        yaml.safe_dump(
            {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins}
        )
    )
    async with running_server(admission_control_config_file=file) as server, server.http() as http:
        vip = {"metadata": {"name": "vip"}, "value": 7}
        await http.post("/apis/scheduling.k8s.io/v1/priorityclasses", json=vip)
        pods = "/api/v1/namespaces/default/pods"

        def pod(name: str, **spec: Any) -> Document:
            return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}

        assert (await http.post(pods, json=pod("plain"))).status_code == 201
        refused = await http.post(pods, json=pod("important", priorityClassName="vip"))
        assert refused.status_code == 403
        assert "insufficient quota to match these scopes: [{PriorityClass In [vip]}]" in refused.json()["message"]
        claim = {
            "metadata": {"name": "c"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "gold",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        refused = await http.post("/api/v1/namespaces/default/persistentvolumeclaims", json=claim)
        assert refused.status_code == 403 and "insufficient quota to consume: gold.storage" in refused.json()["message"]
        hard = {"gold.storageclass.storage.k8s.io/requests.storage": "1Gi"}
        hard |= {"gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1"}
        path = await quota(http, "default", hard)
        made = await http.post("/api/v1/namespaces/default/persistentvolumeclaims", json=claim)
        assert made.status_code == 201, made.text
        assert (await used(http, path)).keys() == hard.keys()
