"""What users of a cluster with webhooks see: kubectl, webhooks behind a Service, webhooks that write themselves."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from k8slite.testing import RunningServer
from k8slite.testing.extension import extension
from k8slite.testing.kubectl import Kubectl

from .hooks import (
    MUTATING,
    VALIDATING,
    Hooks,
    allow,
    annotate,
    config_map,
    configure,
    deny,
    rule,
    webhook,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {key: value}\n"


async def test_kubectl_says_why_it_was_refused(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    kubectl = Kubectl(server)
    hook = webhook("no", hooks.on("/no", deny("the data is not good")), rule("configmaps"), namespace=namespace)
    await configure(http, VALIDATING, "no", hook)
    for arguments in (("apply",), ("apply", "--server-side"), ("apply", "--dry-run=server"), ("create",)):
        result = await kubectl(*arguments, "-n", namespace, "-f", "-", stdin=MANIFEST)
        assert result.code == 1
        assert 'admission webhook "no.example.com" denied the request: the data is not good' in result.err, result.err


async def test_kubectl_applies_again_what_a_webhook_changed(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    kubectl = Kubectl(server)
    hook = webhook("mark", hooks.on("/mark", annotate("mark")), rule("configmaps"), namespace=namespace)
    await configure(http, MUTATING, "mark", hook)
    by_server = ("--server-side", "--force-conflicts")
    said = {(): ("created", "unchanged"), by_server: ("serverside-applied", "serverside-applied")}
    for arguments, outcomes in said.items():
        for outcome in outcomes:
            result = await kubectl("apply", *arguments, "-n", namespace, "-f", "-", stdin=MANIFEST)
            assert outcome in result.out, result.err
    found = (await http.get(f"/api/v1/namespaces/{namespace}/configmaps/applied")).json()
    assert found["metadata"]["annotations"]["mark"] == "seen"


async def test_a_webhook_behind_a_service(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers["host"])
        return await hooks.handle(request)

    async with extension(handle, directory=tmp_path, hosts=[f"hook.{namespace}.svc"]) as served:
        service = {"metadata": {"name": "hook"}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        made = await http.post(f"/api/v1/namespaces/{namespace}/services", json=service)
        assert made.status_code == 201, made.text
        hooks.on("/check", deny("by the service"))
        client = {
            "service": {"namespace": namespace, "name": "hook", "port": served.port, "path": "/check"},
            "caBundle": base64.b64encode(served.bundle).decode(),
        }
        await configure(http, VALIDATING, "svc", webhook("svc", client, rule("configmaps"), namespace=namespace))
        answer = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
        assert answer.json()["message"] == 'admission webhook "svc.example.com" denied the request: by the service'
        assert asked == [f"hook.{namespace}.svc:{served.port}"]


async def test_a_webhook_that_writes_itself(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks, tmp_path: Path
) -> None:
    """A webhook may write to the server that waits for it, even what it is itself asked about."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        name = (await request.json())["request"]["name"]
        if not name.startswith("seen-"):
            made = await http.post(maps, json=config_map(f"seen-{name}"))
            assert made.status_code == 201, made.text
        return await hooks.handle(request)

    async with extension(handle, directory=tmp_path, hosts=["127.0.0.1"]) as served:
        hooks.on("/note", allow)
        bundle = base64.b64encode(served.bundle).decode()
        client = {"url": f"https://127.0.0.1:{served.port}/note", "caBundle": bundle}
        await configure(http, VALIDATING, "note", webhook("note", client, rule("configmaps"), namespace=namespace))
        answers = await asyncio.gather(*(http.post(maps, json=config_map(name)) for name in "abcdefgh"))
    assert {answer.status_code for answer in answers} == {201}
    listed = (await http.get(maps)).json()["items"]
    assert len(listed) == 16
