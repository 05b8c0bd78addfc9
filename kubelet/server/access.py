"""Who may ask a kubelet for what. Whoever may use all of it may run commands in every container.

A certificate of the API servers' group, or of `system:masters`, is enough for everything. Anybody else says who he is
by a certificate of the cluster's authority or by a token, and the API server says whether he may: a kubelet asks it for
the subresource of its node that stands for the path (`nodes/metrics`, `nodes/stats`, `nodes/log`, `nodes/proxy`), and
remembers the answer for seconds: who is deleted, or may no longer, is soon shut out. Strangers can make it ask, but not
so much at once that its own requests would have to wait.

Source: Kubernetes documentation, "Kubelet authentication/authorization"; pkg/kubelet/server/auth.go.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.errors import ApiError
from k8slite.pki import KUBELET_CLIENTS
from k8slite.remembering import Recent

from .guests import Guests

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_TRUSTED = ("system:masters", KUBELET_CLIENTS)
_TOKEN, _VERDICT = 10.0, 30.0
"""Seconds that the API server's answers hold: who a token names, and what one may do."""
_REMEMBERED = 256
_AT_ONCE = 8
"""Questions under way: a part of what the kubelet's client may send at once."""
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES = {"stats": ("stats",), "metrics": ("metrics",), "logs": ("log",)} | {
    word: (word, "proxy") for word in ("pods", "healthz", "configz")
}
"""By the first part of a path; any one of several will do."""
_STREAMS = ("exec", "attach", "portForward", "run")
"""A WebSocket begins with a GET. Who may *get* must not be able to run commands: stricter than Kubernetes."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    trusted: bool = False
    """Whether nobody else has to be asked what he may do."""


def question_of(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """What one must be allowed to do to a node for a request to its kubelet: the verb, and subresources of which one
    will do."""
    part = path.split("/")[1] if path.startswith("/") else ""
    return "create" if part in _STREAMS else _VERBS.get(method, ""), _SUBRESOURCES.get(part, ("proxy",))


def bearer(certificate: Mapping[str, Any] | None) -> Person | None:
    """Whom a verified certificate names."""
    pairs: list[tuple[str, str]] = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    groups = tuple(value for name, value in pairs if name == "organizationName")
    name = next((value for name, value in pairs if name == "commonName"), "")
    trusted = any(group in _TRUSTED for group in groups)
    return Person(name, (*groups, "system:authenticated"), trusted=trusted) if name or trusted else None


class Access:
    """One kubelet's door. `node` is its node."""

    def __init__(self, client: Client, *, node: str, clock: Clock) -> None:
        self._client, self._node, self._clock = client, node, clock
        self._people: Recent[bytes, tuple[float, Person | None]] = Recent(_REMEMBERED)
        self._verdicts: Recent[tuple[Person, str, str], tuple[float, bool]] = Recent(_REMEMBERED)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.guests = Guests()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through, or refuse it."""
        try:
            person = await self._identify(request)
            if person is None:
                return web.Response(status=401, text="Unauthorized")
            verb, names = question_of(request.method, request.path)
            if not person.trusted and not await self._may(person, verb, names):
                text = f"Forbidden (user={person.name}, verb={verb}, resource=nodes, subresource={list(names)})"
                return web.Response(status=403, text=text)
        except (ApiError, aiohttp.ClientError, OSError) as error:
            return web.Response(status=500, text=f"Authorization error: {error}")
        with self.guests.served(request, owner=person.name):
            return await handler(request)

    async def _identify(self, request: web.Request) -> Person | None:
        certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
        if (person := bearer(certificate)) is not None:
            return person
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return await self._who(token.strip()) if scheme.lower() == "bearer" and token.strip() else None

    async def _who(self, token: str) -> Person | None:
        key, now = hashlib.sha256(token.encode()).digest(), self._clock.monotonic()
        known = self._people.get(key)
        if known is None or now >= known[0]:
            known = now + _TOKEN, _read(await self._ask("authentication.k8s.io", "TokenReview", {"token": token}))
            self._people.keep(key, known)
        return known[1]

    async def _may(self, person: Person, verb: str, names: tuple[str, ...]) -> bool:
        for name in names:
            key, now = (person, verb, name), self._clock.monotonic()
            known = self._verdicts.get(key)
            if known is None or now >= known[0]:
                status = await self._ask("authorization.k8s.io", "SubjectAccessReview", self._question(*key))
                known = now + _VERDICT, status.get("allowed") is True
                self._verdicts.keep(key, known)
            if known[1]:
                return True
        return False

    def _question(self, person: Person, verb: str, subresource: str) -> dict[str, Any]:
        return {
            "user": person.name,
            "uid": person.uid,
            "groups": list(person.groups),
            "extra": {name: list(values) for name, values in person.extra},
            "resourceAttributes": {
                "verb": verb,
                "version": "v1",
                "resource": "nodes",
                "subresource": subresource,
                "name": self._node,
            },
        }

    async def _ask(self, group: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        async with self._turns:
            answer = await self._client.request("POST", f"/apis/{group}/v1/{kind.lower()}s", body=body)
        found: dict[str, Any] = answer.get("status") or {}
        return found


def _read(status: Mapping[str, Any]) -> Person | None:
    if status.get("authenticated") is not True:
        return None
    user = status.get("user") or {}
    return Person(
        user.get("username") or "", tuple(user.get("groups") or ()), user.get("uid") or "", tuple(_extra(user))
    )


def _extra(user: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from ((name, tuple(values)) for name, values in (user.get("extra") or {}).items())
