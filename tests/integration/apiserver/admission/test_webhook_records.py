"""What is left of calls of webhooks: annotations of the audit event, and metrics."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer

from ..audit_log import Audited, audited
from .hooks import MUTATING, VALIDATING, Hooks, add, allow, config_map, configure, deny, patch, rule, webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")
REFUSED = {"url": "https://127.0.0.1:1/"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Audited]:
    """A server that records all of config maps, and of secrets only that they were written."""
    secrets = {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}
    async with audited(tmp_path_factory.mktemp("audit"), [secrets, {"level": "RequestResponse"}]) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(log: Audited) -> RunningServer:
    return log.server


async def annotations_of(log: Audited, answer: httpx.Response) -> dict[str, str]:
    """What the audit event of a request says of webhooks."""
    found: dict[str, str] = (await log.answered(answer))["annotations"]
    return {key: value for key, value in found.items() if not key.startswith("authorization.k8s.io/")}


def values(found: Mapping[str, str], prefix: str) -> dict[str, Any]:
    """The annotations below a prefix, read."""
    return {key.removeprefix(prefix): json.loads(text) for key, text in found.items() if key.startswith(prefix)}


async def test_mutations_are_told_to_the_audit(
    log: Audited, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("configmaps", operations=["CREATE"])
    operation = add("/data/added", "yes")
    audit = {"auditAnnotations": {"why": "because", "not a key": "x"}}
    await configure(
        http,
        MUTATING,
        "some",
        webhook("elsewhere", hooks.on("/elsewhere", allow), rule("secrets"), namespace=namespace),
        webhook("change", hooks.on("/change", patch(operation, **audit)), about, namespace=namespace),
        webhook("same", hooks.on("/same", patch(add("/data/added", "yes"))), about, namespace=namespace),
        webhook("down", REFUSED, about, namespace=namespace, failurePolicy="Ignore"),
    )
    made = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
    assert made.status_code == 201, made.text
    annotations = await annotations_of(log, made)
    assert values(annotations, "mutation.webhook.admission.k8s.io/") == {
        "round_0_index_1": {"configuration": "some", "webhook": "change.example.com", "mutated": True},
        "round_0_index_2": {"configuration": "some", "webhook": "same.example.com", "mutated": False},
        "round_0_index_3": {"configuration": "some", "webhook": "down.example.com", "mutated": False},
    }
    patches = values(annotations, "patch.webhook.admission.k8s.io/")
    assert patches["round_0_index_1"] == {
        "configuration": "some",
        "webhook": "change.example.com",
        "patch": [operation],
        "patchType": "JSONPatch",
    }
    assert annotations["failed-open.mutation.webhook.admission.k8s.io/round_0_index_3"] == "down.example.com"
    assert annotations["change.example.com/why"] == "because"
    assert not [key for key in annotations if "not a key" in key]


async def test_validations_are_told_to_the_audit(
    log: Audited, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("configmaps", operations=["CREATE"])
    said = webhook("no", hooks.on("/no", lambda request: {"auditAnnotations": {"a": "b"}}), about, namespace=namespace)
    down = webhook("down", REFUSED, about, namespace=namespace, failurePolicy="Ignore")
    await configure(http, VALIDATING, "some", down, said)
    refused = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
    assert refused.status_code == 400
    assert await annotations_of(log, refused) == {
        "no.example.com/a": "b",
        "failed-open.validating.webhook.admission.k8s.io/round_0_index_0": "down.example.com",
    }


async def test_patches_are_told_only_where_objects_are(
    log: Audited, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    client = hooks.on("/change", patch(add("/data", {"password": "aHVudGVyMg=="})))
    await configure(http, MUTATING, "some", webhook("change", client, rule("secrets"), namespace=namespace))
    made = await http.post(f"/api/v1/namespaces/{namespace}/secrets", json={"metadata": {"name": "a"}})
    assert made.json()["data"] == {"password": "aHVudGVyMg=="}
    assert list(await annotations_of(log, made)) == ["mutation.webhook.admission.k8s.io/round_0_index_0"]
    assert "aHVudGVyMg" not in log.file.read_text()


async def counted(http: httpx.AsyncClient, name: str) -> dict[str, float]:
    """The metrics of one webhook: name and labels but its own, and value."""
    text = (await http.get("/metrics")).text
    lines = re.findall(r"^(apiserver_admission_webhook_\w+)\{(.*)\} (\S+)$", text, flags=re.MULTILINE)
    mine = f'name="{name}.example.com"'
    return {
        f"{metric.removeprefix('apiserver_admission_webhook_')} {labels.replace(mine + ',', '')}": float(value)
        for metric, labels, value in lines
        if mine in labels and "bucket" not in metric and not metric.endswith(("_created", "_sum"))
    }


async def test_calls_are_counted(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    about, maps = rule("configmaps"), f"/api/v1/namespaces/{namespace}/configmaps"
    counted_hooks = [
        webhook("counted-good", hooks.on("/good", allow), about, namespace=namespace),
        webhook("counted-no", hooks.on("/no", deny("no", code=403)), about, namespace=namespace),
        webhook("counted-ignored", REFUSED, about, namespace=namespace, failurePolicy="Ignore"),
    ]
    await configure(http, VALIDATING, "some", *counted_hooks)
    await configure(http, MUTATING, "down", webhook("counted-down", REFUSED, about, namespace=namespace))
    assert (await http.post(maps, json=config_map("a"))).status_code == 500
    assert await counted(http, "counted-good") == {}
    assert await counted(http, "counted-down") == {
        'request_total code="503",operation="CREATE",rejected="true",type="admit"': 1,
        'admission_duration_seconds_count operation="CREATE",rejected="true",type="admit"': 1,
        'rejection_count error_type="calling_webhook_error",operation="CREATE",rejection_code="503",type="admit"': 1,
    }
    await http.delete(f"/apis/admissionregistration.k8s.io/v1/{MUTATING}/down")
    assert (await http.post(maps, json=config_map("a"))).status_code == 403
    assert await counted(http, "counted-good") == {
        'request_total code="200",operation="CREATE",rejected="false",type="validating"': 1,
        'admission_duration_seconds_count operation="CREATE",rejected="false",type="validating"': 1,
    }
    assert await counted(http, "counted-no") == {
        'request_total code="403",operation="CREATE",rejected="true",type="validating"': 1,
        'admission_duration_seconds_count operation="CREATE",rejected="true",type="validating"': 1,
        'rejection_count error_type="no_error",operation="CREATE",rejection_code="403",type="validating"': 1,
    }
    assert await counted(http, "counted-ignored") == {
        'request_total code="503",operation="CREATE",rejected="false",type="validating"': 1,
        'admission_duration_seconds_count operation="CREATE",rejected="false",type="validating"': 1,
        'fail_open_count type="validating"': 1,
    }
