"""Certificate signing requests: who asks, who approves, who signs, and what none of them can take back."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from .examples import signing_request, trust_bundle

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SPEC = {"request": signing_request(), "signerName": "example.com/signer", "usages": ["client auth"]}
APPROVED = {"type": "Approved", "status": "True", "reason": "Tested", "message": "fine"}


async def made(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await http.post(URL, json={"metadata": {"name": name}, "spec": SPEC})
    assert answer.status_code == 201, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def test_refused_with_all_causes(http: httpx.AsyncClient) -> None:
    spec = {"request": base64.b64encode(b"no").decode(), "signerName": "me", "usages": ["eat", "any", "any"]}
    answer = await http.post(URL, json={"metadata": {"name": "bad"}, "spec": {**spec, "expirationSeconds": 1}})
    assert answer.status_code == 422
    assert {(cause["field"], cause["reason"]) for cause in answer.json()["details"]["causes"]} == {
        ("spec.request", "FieldValueInvalid"),
        ("spec.usages[0]", "FieldValueNotSupported"),
        ("spec.usages[2]", "FieldValueDuplicate"),
        ("spec.signerName", "FieldValueInvalid"),
        ("spec.expirationSeconds", "FieldValueInvalid"),
    }
    assert "PEM block type must be CERTIFICATE REQUEST" in answer.json()["message"]


async def test_approval_is_dated_and_stays(http: httpx.AsyncClient) -> None:
    request = await made(http, "approved")
    place = f"{URL}/approved"
    request["status"] = {"conditions": [APPROVED], "certificate": "YQ=="}
    approved = (await http.put(f"{place}/approval", json=request)).json()
    (condition,) = approved["status"]["conditions"]
    assert condition["lastUpdateTime"] and condition["lastTransitionTime"]
    assert "certificate" not in approved["status"], "who approves does not sign"

    denied = {**approved, "status": {"conditions": [condition, {**APPROVED, "type": "Denied"}]}}
    refused = await http.put(f"{place}/approval", json=denied)
    assert "Approved and Denied conditions are mutually exclusive" in refused.json()["message"]
    taken_back = {**approved, "status": {"conditions": []}}
    refused = await http.put(f"{place}/approval", json=taken_back)
    assert 'updates may not remove a condition of type "Approved"' in refused.json()["message"]


async def test_signer_cannot_approve_and_signs_once(http: httpx.AsyncClient) -> None:
    request = await made(http, "signed")
    place = f"{URL}/signed/status"
    request["status"] = {"conditions": [APPROVED], "certificate": base64.b64encode(b"no").decode()}
    refused = await http.put(place, json=request)
    assert {cause["field"]: cause["reason"] for cause in refused.json()["details"]["causes"]} == {
        "status.certificate": "FieldValueInvalid",
        "status.conditions": "FieldValueForbidden",
    }
    assert "must contain at least one CERTIFICATE PEM block" in refused.json()["message"]
    assert 'updates may not add a condition of type "Approved"' in refused.json()["message"]
    del request["status"]["conditions"]
    request["status"]["certificate"] = base64.b64encode(trust_bundle().encode()).decode()
    signed = (await http.put(place, json=request)).json()
    assert signed["status"]["certificate"] and "conditions" not in signed["status"]
    signed["status"]["certificate"] = base64.b64encode(trust_bundle().encode() + b"\n").decode()
    refused = await http.put(place, json=signed)
    assert "updates may not modify existing certificate content" in refused.json()["message"]


async def test_spec_is_for_ever(http: httpx.AsyncClient) -> None:
    request = await made(http, "kept")
    changed = {**request, "spec": {**request["spec"], "usages": ["any"]}}
    assert (await http.put(f"{URL}/kept", json=changed)).json()["spec"] == request["spec"]
    assert request["spec"]["username"]


async def test_a_request_that_cannot_be_read_whole_is_refused(http: httpx.AsyncClient) -> None:
    """Who made it may have been after a signer that stumbles over it for ever."""
    spec = {**SPEC, "signerName": "kubernetes.io/kube-apiserver-client", "request": _of_no_curve(signing_request())}
    answer = await http.post(URL, json={"metadata": {"name": "odd"}, "spec": spec})
    assert answer.status_code == 422, answer.text
    assert "spec.request: Invalid value" in answer.json()["message"]


def _of_no_curve(request: str) -> str:
    """The same request with the key's curve changed to one that there is not."""
    curve, lines = bytes.fromhex("06082a8648ce3d030107"), base64.b64decode(request).decode().splitlines()
    content = base64.b64decode("".join(lines[1:-1]))
    assert curve in content
    changed = base64.b64encode(content.replace(curve, curve[:-1] + b"\x77")).decode()
    return base64.b64encode("\n".join((lines[0], changed, lines[-1])).encode()).decode()
