"""Asking the server who one is, with whatever one shows."""

from __future__ import annotations

from typing import Any

import httpx

from k8slite.connection import ClientConfig
from k8slite.testing import RunningServer

AUTHENTICATION = "/apis/authentication.k8s.io/v1"
_SELF = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def as_bearer(server: RunningServer, token: str) -> ClientConfig:
    """The configuration of a client with a token; an empty one shows nothing."""
    return ClientConfig(server=server.url, ca_file=server.authority.cert_file, token=token)


async def whoami(server: RunningServer, token: str = "", *, headers: Any = None) -> httpx.Response:
    """The answer to the question who one is."""
    async with server.http(as_bearer(server, token)) as http:
        return await http.post(f"{AUTHENTICATION}/selfsubjectreviews", json=_SELF, headers=headers)


async def user(server: RunningServer, token: str) -> dict[str, Any] | int:
    """Who the server takes the token's holder for, or the status of its refusal."""
    answer = await whoami(server, token)
    return answer.json()["status"]["userInfo"] if answer.status_code == 201 else answer.status_code


async def review(server: RunningServer, token: str, *audiences: str) -> dict[str, Any]:
    """The status of a TokenReview, asked by the administrator."""
    spec = {"token": token, "audiences": list(audiences)}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    async with server.http() as http:
        answer = await http.post(f"{AUTHENTICATION}/tokenreviews", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["status"]


async def reason(server: RunningServer, token: str) -> str:
    """Why a token is refused, as the administrator learns it."""
    status = await review(server, token)
    assert "authenticated" not in status
    return status["error"]
