"""The API client of every daemon: typed, asynchronous; requests over `pool.py`, watches over aiohttp.

Reads return frozen models; writes take plain dictionaries, because a component never rebuilds a whole object from its
partial view.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from .connection import ClientConfig, connect, pool
from .decoding import Listing, WatchEvent, decode, decode_event, decode_list
from .errors import ApiError
from .kinds.base import K, ResourceType
from .metrics import CLIENT_REQUESTS
from .pool import Pool

__all__ = ["Body", "Client", "ClientConfig", "Listing", "Patch", "WatchEvent"]

Body = Mapping[str, Any] | Sequence[Any]

REQUEST_TIMEOUT = 30.0
"""Seconds for any request but a watch, connection included."""
WATCH_SILENCE = 150.0
"""Seconds without a byte after which a watch is given up: servers send a bookmark every minute. The kernel notices a
machine that is gone, but not a server that is there and does nothing."""
MAX_IN_FLIGHT = 64
"""Requests at once, watches apart: more would only open more connections, not be answered sooner."""

_JSON = "application/json"


class Patch(StrEnum):
    """The media types of PATCH."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


class Fenced(ConnectionError):
    """A write was held back, because this process may not act any more."""


class Client:
    """Verbs over one pool of connections. Methods raise ApiError for a Status, aiohttp.ClientError for the network.

    GET, PUT and DELETE, which HTTP calls idempotent, are retried once when the kept-alive connection turns out to be
    dropped; POST and PATCH are not.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._session: aiohttp.ClientSession | None = None
        self._pool: Pool | None = None
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._host = config.server.partition("://")[2]
        self._may_write: Callable[[], bool] = lambda: True

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def fence(self, may_write: Callable[[], bool]) -> None:
        """Ask before every write, in the moment when it is sent; what may not be written raises Fenced."""
        self._may_write = may_write

    async def close(self) -> None:
        """Close the connections, those that are just being made included."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    async def get(self, resource: ResourceType[K], name: str, *, namespace: str = "") -> K:
        """One object."""
        return decode(resource, await self._send("GET", resource.path(namespace=namespace, name=name)))

    async def list(
        self,
        resource: ResourceType[K],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int = 0,
        continue_token: str = "",
    ) -> Listing[K]:
        """A page of objects (all of them without `limit`)."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version or "",
            "limit": str(limit) if limit else "",
            "continue": continue_token,
        }
        return decode_list(resource, await self._send("GET", resource.path(namespace=namespace), query=query))

    async def watch(
        self,
        resource: ResourceType[K],
        *,
        resource_version: str,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout: float = 0.0,
    ) -> AsyncIterator[WatchEvent[K]]:
        """Changes after a revision, with bookmarks, until the stream ends. ApiError 410 asks for a relist."""
        batches = self.watch_batches(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout=timeout,
        )
        async for batch in batches:
            for event in batch:
                yield event

    async def watch_batches(
        self,
        resource: ResourceType[K],
        *,
        resource_version: str,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout: float = 0.0,
    ) -> AsyncGenerator[Sequence[WatchEvent[K]], None]:
        """`watch`, with all the events that arrived together in one step, which is what makes bursts cheap.

        The first batch is empty: it says that the server has accepted the watch.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "timeoutSeconds": str(int(timeout)) if timeout else "",
        }
        limits = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT, sock_read=WATCH_SILENCE)
        target = _target(resource.path(namespace=namespace), query)
        url = URL(self.config.server + target, encoded=True)
        async with self._watches().get(url, timeout=limits) as response:
            if response.status >= 400:
                raise _error(response.status, await response.read())
            yield ()
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                yield [event for line in lines if line and (event := decode_event(resource, line)) is not None]

    async def create(
        self, resource: ResourceType[K], body: Body, *, namespace: str = "", name: str = "", subresource: str = ""
    ) -> K:
        """POST an object, or to a subresource of `name`; a subresource that answers no object gives an empty one."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return _answer(resource, await self._send("POST", path, body=body))

    async def update(
        self, resource: ResourceType[K], name: str, body: Body, *, namespace: str = "", subresource: str = ""
    ) -> K:
        """PUT a whole object."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return decode(resource, await self._send("PUT", path, body=body))

    async def patch(
        self,
        resource: ResourceType[K],
        name: str,
        body: Body,
        *,
        namespace: str = "",
        subresource: str = "",
        patch: Patch = Patch.MERGE,
    ) -> K:
        """PATCH; put `metadata.uid` or `metadata.resourceVersion` in a merge body to make it conditional."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return decode(resource, await self._send("PATCH", path, body=body, content_type=patch.value))

    async def delete(
        self,
        resource: ResourceType[K],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        grace_period: int | None = None,
        propagation: Literal["", "Background", "Foreground", "Orphan"] = "",
    ) -> None:
        """DELETE, conditional on UID or revision when given."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        if propagation:
            options["propagationPolicy"] = propagation
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {key: value for key, value in preconditions.items() if value}
        await self._send("DELETE", resource.path(namespace=namespace, name=name), body=options)

    async def delete_collection(
        self, resource: ResourceType[K], *, namespace: str = "", label_selector: str = ""
    ) -> None:
        """DELETE every object that matches."""
        await self._send("DELETE", resource.path(namespace=namespace), query={"labelSelector": label_selector})

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        content_type: str = _JSON,
    ) -> Any:
        """Any other call: the decoded JSON answer, or bytes if it is none."""
        answer = await self._send(method, path, query=query or {}, body=body, content_type=content_type)
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError:
            return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        content_type: str = _JSON,
    ) -> bytes:
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        target = _target(path, query)
        try:
            async with self._in_flight, asyncio.timeout(REQUEST_TIMEOUT):
                if method != "GET" and not self._may_write():
                    raise Fenced(f"{method} {path}: not leading any more")
                code, answer = await self._requests().request(method, target, body=data, content_type=content_type)
        except TimeoutError as error:
            raise aiohttp.ServerTimeoutError(f"{method} {path}: no answer in {REQUEST_TIMEOUT:.0f} s") from error
        CLIENT_REQUESTS.labels(code, method, self._host).inc()
        if code >= 300:
            raise _error(code, answer)
        return answer

    def _requests(self) -> Pool:
        if self._pool is None:
            self._pool = pool(self.config)
        return self._pool

    def _watches(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = connect(self.config)
        return self._session


def _target(path: str, query: Mapping[str, str] | None) -> str:
    text = urlencode({key: value for key, value in query.items() if value}) if query else ""
    return f"{path}?{text}" if text else path


def _answer(resource: ResourceType[K], document: bytes) -> K:
    if b'"kind":"Status"' in document[:64].replace(b" ", b""):
        return resource.model()
    return decode(resource, document)


def _error(code: int, answer: bytes) -> ApiError:
    try:
        status = orjson.loads(answer)
    except orjson.JSONDecodeError:
        status = {"message": answer[:300].decode(errors="replace").strip()}
    return ApiError.from_status(code, status if isinstance(status, dict) else {})
