"""What policies leave in the audit event of a request."""

from __future__ import annotations

import json

import httpx
import pytest

from ..audit_log import Audited
from .policies import CONFIGMAPS, policed
from .test_webhook_records import annotations_of, log, server

__all__ = ["log", "server"]

pytestmark = pytest.mark.asyncio(loop_scope="module")
FAILURES = "validation.policy.admission.k8s.io/validation_failure"


async def _make(http: httpx.AsyncClient, namespace: str, name: str) -> httpx.Response:
    body = {"metadata": {"name": name}, "data": {"size": "7"}}
    return await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body)


async def test_failures_are_recorded(log: Audited, http: httpx.AsyncClient, namespace: str) -> None:
    spec = {
        "validations": [
            {"expression": "true"},
            {"expression": "int(object.data.size) < 5", "message": "too large"},
            {"expression": "object.metadata.name != 'x'"},
        ]
    }
    audit = {"validationActions": ["Audit"]}
    async with policed(
        http, namespace, spec, rules=[CONFIGMAPS], one=audit, two={"validationActions": ["Deny"]}
    ) as name:
        refused = await _make(http, namespace, "x")
        assert refused.status_code == 422
        assert json.loads((await annotations_of(log, refused))[FAILURES]) == [
            {
                "message": message,
                "policy": name,
                "binding": f"{namespace}.one",
                "expressionIndex": index,
                "validationActions": ["Audit"],
            }
            for index, message in ((1, "too large"), (2, "failed expression: object.metadata.name != 'x'"))
        ]


async def test_annotations_of_policies(log: Audited, http: httpx.AsyncClient, namespace: str) -> None:
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "auditAnnotations": [
            {"key": "size", "valueExpression": "'size ' + object.data.size + ' of ' + params.data.most"},
            {"key": "nothing", "valueExpression": "null"},
            {"key": "empty", "valueExpression": "'  '"},
        ],
    }
    for most in ("5", "9"):
        body = {"metadata": {"name": f"most-{most}", "labels": {"most": "yes"}}, "data": {"most": most}}
        made = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body)
        assert made.status_code == 201
    selected = {"paramRef": {"selector": {"matchLabels": {"most": "yes"}}, "parameterNotFoundAction": "Deny"}}
    async with policed(http, namespace, spec, rules=[CONFIGMAPS], one=selected, two=selected) as name:
        made = await _make(http, namespace, "a")
        assert made.status_code == 201
        assert await annotations_of(log, made) == {f"{name}/size": "size 7 of 5, size 7 of 9"}


@pytest.mark.parametrize(("policy", "code"), [("Fail", 422), ("Ignore", 201)])
async def test_annotations_that_fail(
    log: Audited,
    http: httpx.AsyncClient,
    namespace: str,
    policy: str,
    code: int,
) -> None:
    spec = {
        "failurePolicy": policy,
        "auditAnnotations": [{"key": "size", "valueExpression": "string(object.data.nope)"}],
    }
    async with policed(http, namespace, spec, rules=[CONFIGMAPS]) as name:
        answer = await _make(http, namespace, "a")
        assert answer.status_code == code, answer.text
        assert f"{name}/size" not in await annotations_of(log, answer)
