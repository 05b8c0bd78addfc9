"""Tokens that another server is asked about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from k8slite.apiserver.authn import webhook
from k8slite.testing import running_server

from .clients import reason, review, user


@dataclass
class Reviewer:
    """Answers TokenReviews: `answers` by token, each a status of the review or an HTTP status."""

    answers: dict[str, Any]
    asked: list[dict[str, Any]] = field(default_factory=list)
    kubeconfig: Path = Path()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        assert request.headers["Authorization"] == "Bearer the-apiserver"
        status = self.answers.get(body["spec"]["token"], {"authenticated": False})
        if isinstance(status, list):
            status = status.pop(0) if len(status) > 1 else status[0]
        if isinstance(status, int):
            return web.Response(status=status)
        return web.json_response({"kind": "TokenReview", "apiVersion": body["apiVersion"], "status": status})


@asynccontextmanager
async def reviewing(path: Path, answers: dict[str, Any]) -> AsyncIterator[Reviewer]:
    reviewer = Reviewer(answers)
    application = web.Application()
    application.router.add_post("/authenticate", reviewer.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    reviewer.kubeconfig = path / "webhook.yaml"
    content = {
        "current-context": "webhook",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}/authenticate"}}],
        "users": [{"name": "me", "user": {"token": "the-apiserver"}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "it", "user": "me"}}],
    }
    reviewer.kubeconfig.write_text(yaml.safe_dump(content))
    try:
        yield reviewer
    finally:
        await runner.cleanup()


JANE = {"username": "jane", "uid": "7", "groups": ["dev"], "extra": {"team": ["a", "b"]}}


async def test_the_other_server_knows_the_token(tmp_path: Path) -> None:
    answers = {"good": {"authenticated": True, "user": JANE}, "bad": {"authenticated": False, "error": "no such user"}}
    async with (
        reviewing(tmp_path, answers) as reviewer,
        running_server(authentication_token_webhook_config_file=reviewer.kubeconfig) as server,
    ):
        found = {**JANE, "groups": ["dev", "system:authenticated"]}
        assert [await user(server, "good") for _ in range(3)] == [found] * 3
        assert len(reviewer.asked) == 1
        assert reviewer.asked[0]["apiVersion"] == "authentication.k8s.io/v1beta1"
        assert reviewer.asked[0]["spec"]["audiences"] == ["https://kubernetes.default.svc.cluster.local"]
        assert [await user(server, "bad") for _ in range(3)] == [401] * 3
        assert len(reviewer.asked) == 2
        assert await reason(server, "bad") == "[invalid bearer token, no such user]"
        assert await user(server, "unknown") == 401
        assert len({body["spec"]["token"] for body in reviewer.asked}) == 3


async def test_answers_are_asked_anew_after_their_time(tmp_path: Path) -> None:
    async with (
        reviewing(tmp_path, {"t": {"authenticated": True, "user": JANE}}) as reviewer,
        running_server(
            authentication_token_webhook_config_file=reviewer.kubeconfig,
            authentication_token_webhook_version="v1",
            authentication_token_webhook_cache_ttl=0.2,
        ) as server,
    ):
        assert await user(server, "t") != 401
        assert reviewer.asked[0]["apiVersion"] == "authentication.k8s.io/v1"
        reviewer.answers["t"] = {"authenticated": False}
        async with asyncio.timeout(20):
            while await user(server, "t") != 401:  # noqa: ASYNC110 - the answer is remembered for a moment
                await asyncio.sleep(0.05)


async def test_audiences_of_the_answer_count(tmp_path: Path) -> None:
    answers = {
        "vault": {"authenticated": True, "user": JANE, "audiences": ["vault"]},
        "plain": {"authenticated": True, "user": JANE},
    }
    async with (
        reviewing(tmp_path, answers) as reviewer,
        running_server(authentication_token_webhook_config_file=reviewer.kubeconfig) as server,
    ):
        assert await user(server, "vault") == 401
        assert (await review(server, "vault", "vault", "x"))["audiences"] == ["vault"]
        assert await user(server, "plain") != 401
        assert "authenticated" not in await review(server, "plain", "vault")


async def test_a_fault_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_FIRST_WAIT", 0.01)
    good = {"authenticated": True, "user": JANE}
    answers: dict[str, Any] = {"flaky": [503, 500, good], "down": [500], "odd": [418], "empty": [{}]}
    async with (
        reviewing(tmp_path, answers) as reviewer,
        running_server(authentication_token_webhook_config_file=reviewer.kubeconfig) as server,
    ):
        assert await user(server, "flaky") != 401
        assert await user(server, "down") == 401
        answers["down"][:] = [good]
        assert await user(server, "down") != 401
        assert await user(server, "odd") == 401
        assert await user(server, "empty") == 401


async def test_many_requests_with_one_token_ask_once(tmp_path: Path) -> None:
    async with (
        reviewing(tmp_path, {"t": {"authenticated": True, "user": JANE}}) as reviewer,
        running_server(authentication_token_webhook_config_file=reviewer.kubeconfig) as server,
    ):
        found = await asyncio.gather(*(user(server, "t") for _ in range(8)))
        assert {answer["username"] for answer in found if isinstance(answer, dict)} == {"jane"}
        assert len(found) == 8
        assert len(reviewer.asked) == 1
