"""Who is asked whether a request may be: modes, webhooks, a configuration that changes. Against the real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from k8slite.config import ConfigError
from k8slite.testing import RunningServer, running_server
from k8slite.testing.extension import Extension, extension
from k8slite.testing.kubectl import Kubectl

Review = dict[str, Any]


@dataclass
class Hook:
    """An authorization webhook; `answer` makes the status of a review's spec."""

    server: Extension
    answer: Callable[[Review], Review | int]
    asked: list[Review] = field(default_factory=list)

    def authorizer(self, directory: Path, name: str = "hook", **settings: Any) -> dict[str, Any]:
        bundle = directory / "bundle.pem"
        bundle.write_bytes(self.server.bundle)
        cluster = {"server": f"https://127.0.0.1:{self.server.port}/authorize", "certificate-authority": str(bundle)}
        kubeconfig = directory / f"{name}.yaml"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "hook", "cluster": cluster}],
                    "contexts": [{"name": "hook", "context": {"cluster": "hook", "user": "apiserver"}}],
                    "users": [{"name": "apiserver", "user": {}}],
                    "current-context": "hook",
                }
            )
        )
        webhook = {
            "timeout": "3s",
            "subjectAccessReviewVersion": "v1",
            "matchConditionSubjectAccessReviewVersion": "v1",
            "failurePolicy": "NoOpinion",
            "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(kubeconfig)},
        }
        return {"type": "Webhook", "name": name, "webhook": webhook | settings}


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    made: Hook

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        review = json.loads(await request.read())
        made.asked.append(review)
        answer = made.answer(review["spec"])
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response({**review, "status": answer})

    async with extension(handle, directory=tmp_path / "hook", hosts=["127.0.0.1"]) as server:
        made = Hook(server, lambda spec: {"allowed": False})
        yield made


def written(directory: Path, *authorizers: dict[str, Any]) -> Path:
    path = directory / "authorization.yaml"
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
    path.write_text(yaml.safe_dump(document | {"authorizers": list(authorizers)}))
    return path


NODE, RBAC = {"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}


async def code(server: RunningServer, user: str, path: str, **options: Any) -> int:
    async with server.http(server.client_config(user)) as http:
        return (await http.get(path, **options)).status_code


async def test_a_webhook_is_asked_last_and_remembered(tmp_path: Path, hook: Hook) -> None:
    def answer(spec: Review) -> Review:
        allowed = spec["user"] == "alice" and spec["resourceAttributes"]["resource"] == "pods"
        return {"allowed": allowed, "reason": "" if allowed else "not hers"}

    hook.answer = answer
    path = written(tmp_path, NODE, RBAC, hook.authorizer(tmp_path))
    async with running_server(authorization_config_file=path) as server:
        pods = "/api/v1/namespaces/default/pods"
        asked = len(hook.asked)
        assert await code(server, "alice", pods, params={"fieldSelector": "spec.nodeName=n1"}) == 200
        assert len(hook.asked) == asked + 1
        spec = hook.asked[-1]["spec"]
        assert spec["user"] == "alice"
        assert spec["groups"] == ["system:authenticated"]
        assert spec["resourceAttributes"] == {
            "namespace": "default",
            "verb": "list",
            "version": "v1",
            "resource": "pods",
            "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]},
        }
        for _ in range(3):
            assert await code(server, "alice", pods, params={"fieldSelector": "spec.nodeName=n1"}) == 200
        assert len(hook.asked) == asked + 1
        # What RBAC allows, nobody else is asked about.
        assert await code(server, "alice", "/apis") == 200
        assert len(hook.asked) == asked + 1
        async with server.http(server.client_config("alice")) as http:
            refused = await http.get("/api/v1/namespaces/default/secrets")
            review = {"spec": {"namespace": "default"}}
            rules = (await http.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json=review)).json()
        assert refused.status_code == 403
        assert refused.json()["message"].endswith('in the namespace "default": not hers')
        assert rules["status"]["incomplete"] is True
        assert rules["status"]["evaluationError"] == "webhook authorizer does not support user rule resolution"


async def test_a_webhook_may_deny_what_others_would_allow(tmp_path: Path, hook: Hook) -> None:
    hook.answer = lambda spec: {"allowed": False, "denied": True, "reason": "closed"}
    path = written(tmp_path, hook.authorizer(tmp_path), RBAC)
    async with running_server(authorization_config_file=path) as server:
        admin = Kubectl(server)
        bound = await admin("create", "clusterrolebinding", "b", "--clusterrole=cluster-admin", "--user=alice")
        assert bound.code == 0, bound.err
        assert await code(server, "alice", "/api/v1/nodes") == 403
        asked = len(hook.asked)
        assert (await admin("get", "nodes")).code == 0
        assert len(hook.asked) == asked, "system:masters are not asked for"
        resource = {"verb": "list", "resource": "nodes"}
        body = {"spec": {"user": "alice", "resourceAttributes": resource}}
        async with server.http() as http:
            answer = (await http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=body)).json()
        assert answer["status"] == {"allowed": False, "denied": True, "reason": "closed"}


async def test_conditions_spare_the_webhook(tmp_path: Path, hook: Hook) -> None:
    hook.answer = lambda spec: {"allowed": True}
    conditions = [
        {"expression": "has(request.resourceAttributes)"},
        {"expression": "request.resourceAttributes.namespace == 'default'"},
    ]
    path = written(tmp_path, RBAC, hook.authorizer(tmp_path, matchConditions=conditions))
    async with running_server(authorization_config_file=path) as server:
        assert await code(server, "alice", "/api/v1/namespaces/default/pods") == 200
        asked = len(hook.asked)
        assert await code(server, "alice", "/api/v1/namespaces/kube-system/pods") == 403
        assert await code(server, "alice", "/metrics") == 403
        assert len(hook.asked) == asked


@pytest.mark.parametrize(("policy", "expected"), [("NoOpinion", 200), ("Deny", 500)])
async def test_a_webhook_that_fails(tmp_path: Path, hook: Hook, policy: str, expected: int) -> None:
    """Where RBAC is asked afterwards, its opinion counts, unless the failure is a denial."""
    hook.answer = lambda spec: 418
    path = written(tmp_path, hook.authorizer(tmp_path, failurePolicy=policy), RBAC)
    async with running_server(authorization_config_file=path) as server:
        assert await code(server, "alice", "/apis") == expected
        assert await code(server, "alice", "/metrics") == 500, "nobody knows whether it may be"
        body = {"spec": {"user": "alice", "nonResourceAttributes": {"path": "/metrics", "verb": "get"}}}
        async with server.http() as http:
            status = (await http.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json=body)).json()["status"]
        assert status["allowed"] is False
        assert "answered with status 418" in status["evaluationError"]


async def test_a_changed_file_counts_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    path = written(tmp_path, RBAC)

    async def until(server: RunningServer, wanted: int) -> None:
        async with asyncio.timeout(20):
            while await code(server, "alice", "/api/v1/nodes") != wanted:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.05)

    async with running_server(authorization_config_file=path) as server:
        assert await code(server, "alice", "/api/v1/nodes") == 403
        written(tmp_path, {"type": "AlwaysAllow", "name": "open"})
        await until(server, 200)
        path.write_text("kind: Nonsense")
        allowed = [await code(server, "alice", "/api/v1/nodes") for _ in range(3)]
        assert allowed == [200] * 3
        written(tmp_path, RBAC)
        await until(server, 403)


async def test_modes_without_a_file() -> None:
    async with running_server(authorization_mode=["AlwaysAllow"]) as server:
        assert await code(server, "alice", "/api/v1/nodes") == 200
    async with running_server(authorization_mode=["AlwaysDeny"]) as server:
        assert await code(server, "alice", "/version") == 403
        async with server.http() as http:
            assert (await http.get("/version")).status_code == 200, "system:masters"


async def test_what_a_server_does_not_begin_with(tmp_path: Path) -> None:
    path = written(tmp_path, RBAC)
    for settings in (
        {"authorization_mode": []},
        {"authorization_mode": ["RBAC"], "authorization_config_file": path},
        {"authorization_config_file": tmp_path / "none"},
    ):
        with pytest.raises(ConfigError):
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(running_server(**settings))


async def test_everybody_is_refused_by_default() -> None:
    async with running_server() as server:
        assert server.config.authorization_mode == ["Node", "RBAC"]
        assert await code(server, "alice", "/api/v1/nodes") == 403
        assert await code(server, "system:node:n1", "/api/v1/nodes") == 403
