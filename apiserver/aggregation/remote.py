"""One group version that another server serves: is the server there, and what does it say of itself?

Asked when an object that matters changes, and every half minute; sooner while the server does not answer. What it said
is kept: a server that goes leaves its resources in discovery, marked as stale. Fetched documents are bounded, and
asked for by their ETag, so that a server which has nothing new sends nothing.

Source: Kubernetes' kube-aggregator, controllers/status/remote, pkg/apiserver (discovery manager), openapi.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

from k8slite.errors import ApiError
from k8slite.selectors import from_labels

from ..backends import SERVICE_LABEL, BackendError, Backends, Place, ServiceReference, Target, Trust, read_bounded
from ..discovery import AGGREGATED_TYPES
from ..strategies.base import Document
from ..watching.cache import WatchCache
from ..watching.signal import Signal
from . import described
from .conditions import PASSED, Availability, failed_check, unreachable
from .services import ApiService

PERIOD = 30.0
"""Seconds between checks."""
_FIRST_RETRY = 0.2
_CHECK_TIMEOUT = 5.0
_ATTEMPTS = 5
_DOCUMENT_TIMEOUT = 10.0
_DOCUMENT_LIMIT = 32 << 20
_LARGE = 1 << 18
_SELF = (("X-Remote-User", "system:kube-aggregator"), ("X-Remote-Group", "system:masters"))
_JSON = "application/json"
_log = logging.getLogger(__name__)

Publish = Callable[[ApiService, Availability], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Described:
    """What a server said of a group version: its entry in discovery, its line of OpenAPI 3, its part of OpenAPI 2."""

    discovery: Document | None = None
    v3: Document | None = None
    v2: Document | None = None


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A document as it came last: `content` is None if there was none."""

    content: Document | None = None
    content_type: str = ""
    etag: str = ""


_NOTHING = _Fetched()


class Remote:
    """Follows one APIService until it is stopped. `changed` is called when `described` or `stale` has changed."""

    def __init__(
        self,
        service: ApiService,
        *,
        backends: Backends,
        cache: WatchCache,
        publish: Publish,
        changed: Callable[[], None],
    ) -> None:
        self.service = service
        self.described = Described()
        self.stale = True
        self._backends = backends
        self._cache = cache
        self._publish = publish
        self._changed = changed
        self._fetched: dict[str, _Fetched] = {}
        self._wake = asyncio.Event()
        self._signals = self._listen()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Follow it no longer."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for signal in self._signals:
            signal.close()

    def _listen(self) -> list[Signal]:
        """Be woken by changes to the Service and to its endpoints."""
        assert self.service.target is not None and self.service.target.service is not None
        reference = self.service.target.service
        wake, namespace = self._wake.set, reference.namespace
        labels = from_labels({SERVICE_LABEL: reference.name})
        slices = self._cache.resource("discovery.k8s.io", "endpointslices")
        return [
            Signal(self._cache.resource("", "services"), wake, namespace=namespace, name=reference.name),
            Signal(slices, wake, namespace=namespace, labels=labels),
        ]

    @property
    def entry(self) -> Document:
        """The entry in aggregated discovery."""
        known = self.described.discovery
        if self.stale or known is None:
            return described.stale(known, self.service.version)
        return known

    async def _run(self) -> None:
        delay = _FIRST_RETRY
        while True:
            self._wake.clear()
            for signal in self._signals:
                signal.renew()
            try:
                availability = await self._check()
                await self._publish(self.service, availability)
                await self._describe(availability)
            except ApiError as error:
                _log.warning("the check of APIService %s cannot be told: %s", self.service.name, error)
                availability = failed_check("")
            except Exception:
                _log.exception("the check of APIService %s failed", self.service.name)
                availability = failed_check("")
            failing = availability.reason == "FailedDiscoveryCheck"
            delay = min(delay * 2, PERIOD) if failing else _FIRST_RETRY
            try:
                async with asyncio.timeout(delay if failing else PERIOD):
                    await self._wake.wait()
            except TimeoutError:
                continue

    # Availability

    async def _check(self) -> Availability:
        target = self.service.target
        assert target is not None and target.service is not None
        reference = target.service
        known = self._cache.resource("", "services").get(reference.namespace, reference.name)
        document = known.document if known is not None else None
        problem = unreachable(reference, document, self._backends.slices(reference.namespace, reference.name))
        if problem is not None:
            return problem
        error = await self._knock(reference)
        if error:
            # One endpoint of several may be gone: the others are asked before the whole is called unavailable.
            errors = await asyncio.gather(*(self._knock(reference) for _ in range(_ATTEMPTS - 1)))
            if all(errors):
                return failed_check(errors[-1])
        return PASSED

    async def _knock(self, reference: ServiceReference) -> str:
        """What is wrong with one endpoint, empty if it answers. Whoever it is: this is about its being there."""
        try:
            place: Place = self._backends.resolve(reference)
        except ApiError as error:
            return error.message
        url = place.base + self.service.path
        target = Target(None, place.base, Trust(insecure=True, front=True))
        try:
            async with self._backends.request(
                target, "GET", path=self.service.path, headers=_SELF, timeout=_CHECK_TIMEOUT
            ) as response:
                if 200 <= response.status < 300:
                    return ""
                return f"failing or missing response from {url}: bad status from {url}: {response.status}"
        except BackendError as error:
            return f'failing or missing response from {url}: Get "{url}": {error}'

    # What it says of itself

    async def _describe(self, availability: Availability) -> None:
        found = self.described
        if availability.status:
            found = await self._fetch_all()
        stale = not availability.status or found.discovery is None
        if found != self.described or stale != self.stale:
            self.described, self.stale = found, stale
            self._changed()

    async def _fetch_all(self) -> Described:
        service = self.service
        discovery = None
        answer = await self._fetch("/apis", AGGREGATED_TYPES)
        if "as=APIGroupDiscoveryList" in answer.content_type and answer.content is not None:
            discovery = described.version_in(answer.content, service.group, service.version)
        if discovery is None:
            answer = await self._fetch(service.path, _JSON)
            if answer.content is not None and answer.content.get("kind") == "APIResourceList":
                discovery = described.version_of(answer.content, service.group, service.version)
        index = (await self._fetch("/openapi/v3", _JSON)).content or {}
        v3 = described.line_of_v3(index, service.path)
        answer = await self._fetch("/openapi/v2", _JSON, keep=lambda each: described.part_of_v2(each, service.path))
        return Described(discovery or self.described.discovery, v3, answer.content)

    async def _fetch(self, path: str, accept: str, *, keep: Callable[[Document], Document] | None = None) -> _Fetched:
        """What `keep` makes of a document of the server; without content if there is none, or none that can be read.

        What came last stays while nothing new comes, be it for a fault of the server's.
        """
        known = self._fetched.get(path, _NOTHING)
        assert self.service.target is not None
        headers = [*_SELF, ("Accept", accept), *([("If-None-Match", known.etag)] if known.etag else [])]
        try:
            async with self._backends.request(
                self.service.target, "GET", path=path, headers=headers, timeout=_DOCUMENT_TIMEOUT
            ) as response:
                if (response.status == 304 and known.etag) or response.status >= 500:
                    return known
                body = await read_bounded(response, _DOCUMENT_LIMIT) if response.status == 200 else b""
                content_type, etag = response.headers.get("Content-Type", ""), response.headers.get("ETag", "")
        except (BackendError, ApiError) as error:
            _log.info("%s of APIService %s cannot be read: %s", path, self.service.name, error)
            return known
        try:
            # A large document must not hold up everybody's requests.
            content = _document(body, keep) if len(body) < _LARGE else await asyncio.to_thread(_document, body, keep)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            _log.info("%s of APIService %s cannot be understood: %s", path, self.service.name, error)
            content = None
        fetched = self._fetched[path] = _Fetched(content, content_type, etag)
        return fetched


def _document(body: bytes, keep: Callable[[Document], Document] | None) -> Document | None:
    """Raises ValueError, and whatever else a document leads to that is none of its kind."""
    document = orjson.loads(body) if body else None
    if not isinstance(document, dict):
        return None
    if keep is not None:
        document = keep(document)
        orjson.dumps(document)  # so deep that it could not be written again: nobody could read what it is part of
    return document
