"""Pods and priority classes as objects: what is refused when they are made, and what is kept."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "web:1"}], **spec}}


async def test_sysctls_with_bad_names_are_refused_and_no_others(http: httpx.AsyncClient) -> None:
    names = ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..")
    context = {"sysctls": [{"name": name, "value": "100000000"} for name in names]}
    refused = await http.post("/api/v1/namespaces/default/pods", json=pod("sysctls", securityContext=context))
    assert refused.status_code == 422
    message = refused.json()["message"]
    assert 'Invalid value: "foo-"' in message and 'Invalid value: "bar.."' in message
    assert "safe-and-unsafe" not in message and "kernel.shmmax" not in message


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (91 * 24 * 3600 + 1, "if provided, maxExpirationSeconds must be <= 7862400"),
        (3599, "if provided, maxExpirationSeconds must be >= 3600"),
        (3600, ""),
        (91 * 24 * 3600, ""),
    ],
)
async def test_certificates_of_pods_live_an_hour_to_91_days(http: httpx.AsyncClient, seconds: int, words: str) -> None:
    certificate = {
        "signerName": "example.com/signer",
        "keyType": "ED25519",
        "credentialBundlePath": "bundle.pem",
        "maxExpirationSeconds": seconds,
    }
    volumes = [{"name": "certificate", "projected": {"sources": [{"podCertificate": certificate}]}}]
    body = pod("certified", volumes=volumes)
    answer = await http.post("/api/v1/namespaces/default/pods", json=body, params={"dryRun": "All"})
    assert (answer.status_code, words in answer.text) == (422 if words else 201, True)


async def test_volumes_of_csi_drivers_stand_in_pods(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/pods"
    volume = {"name": "inline", "csi": {"driver": "e2e.example.com", "volumeAttributes": {"size": "1Gi"}}}
    body = pod("one", volumes=[volume])
    body["metadata"]["labels"] = {"e2e-test": namespace}
    made = await http.post(url, json=body)
    assert made.status_code == 201, made.text
    found = (await http.get(f"{url}/one")).json()
    [kept] = [each for each in found["spec"]["volumes"] if each["name"] == "inline"]
    assert kept == volume
    patched = await http.patch(f"{url}/one", headers=STRATEGIC, json={"metadata": {"labels": {"state": "patched"}}})
    assert patched.status_code == 200 and patched.json()["spec"] == found["spec"]
    listed = (await http.get("/api/v1/pods", params={"labelSelector": f"e2e-test={namespace}"})).json()["items"]
    assert [item["metadata"]["name"] for item in listed] == ["one"]
    assert (await http.delete(url, params={"labelSelector": "state=patched"})).status_code == 200
    assert (await http.get(f"{url}/one")).status_code == 404


async def test_a_priority_class_never_changes_its_value(http: httpx.AsyncClient) -> None:
    url = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for name, value in (("p1", 1), ("p2", 2)):
        body = {"metadata": {"name": name, "labels": {"mine": "yes"}}, "value": value}
        assert (await http.post(url, json=body)).status_code == 201
    listed = (await http.get(url)).json()["items"]
    assert {"p1", "p2", "system-cluster-critical"} <= {item["metadata"]["name"] for item in listed}
    found = (await http.get(f"{url}/p1")).json()
    answers = [
        await http.put(f"{url}/p1", json={**found, "value": 3}),
        await http.patch(f"{url}/p1", headers=JSON_PATCH, json=[{"op": "replace", "path": "/value", "value": 3}]),
        await http.patch(f"{url}/p1", headers=MERGE, json={"value": 3}),
        await http.patch(f"{url}/p1", headers=STRATEGIC, json={"value": 3}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
        assert [cause["field"] for cause in answer.json()["details"]["causes"]] == ["value"]
    described = await http.patch(f"{url}/p1", headers=MERGE, json={"description": "updated"})
    assert described.json()["description"] == "updated"
    assert (await http.delete(f"{url}/p1")).status_code == 200
    assert (await http.delete(url, params={"labelSelector": "mine=yes"})).status_code == 200
    assert (await http.get(url, params={"labelSelector": "mine=yes"})).json()["items"] == []
