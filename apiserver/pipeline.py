"""One request: authenticate → audit → impersonate → flow control → authorize → admit → registry → answer.

Every request passes here, those for health and metrics too. What is no resource and no discovery document goes on to
FastAPI. The path of a plain GET is kept short: nothing is copied, logged or looked up twice.

Source: Kubernetes' apiserver, server/config.go (DefaultBuildHandlerChain).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Protocol

from k8slite.catalogue import Catalogue, Resource
from k8slite.errors import ApiError, internal, no_such_path, service_unavailable

from .aggregation.aggregator import Aggregator
from .aggregation.proxy import Passing
from .audit.auditor import STRANGER, Auditor
from .audit.record import Record
from .authn.base import Credentials, User
from .authn.impersonation import impersonate, wanted
from .authn.presented import presented
from .authz.base import Attributes
from .authz.base import Decision as Verdict
from .authz.chain import Chain as Authorizer
from .authz.chain import denial
from .calls import Answer, Call, Receive, Scope, Send, Stream
from .discovery import DiscoveryAnswer
from .dispatch import Dispatch
from .flowcontrol.control import FlowControl
from .flowcontrol.refusal import ANSWER, Refused
from .proxying import joining
from .storage.base import FutureRevision, StoreUnavailable
from .watching.watch import WatchStream
from .wire import negotiation, options, request
from .wire.body import read_body
from .wire.connection import OUTLET, left
from .wire.fanout import Fanout
from .wire.metrics import RequestMetrics
from .wire.respond import (
    Headers,
    audit_id,
    error_answer,
    error_headers,
    send_answer,
    send_head,
    send_stream,
    send_watch,
    warning_headers,
    with_headers,
)
from .wire.websockets import before_handshake, send_events

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STREAMED = frozenset({"exec", "attach", "portforward", "proxy"})
"""Subresources whose requests' bodies are passed on as they come, or have none."""
_LONG_RUNNING = frozenset({"watch", "exec", "attach", "log", "portforward", "proxy"})
_NARROWED = frozenset({"list", "watch", "deletecollection"})
"""Verbs whose selectors say what they reach."""
_HUMANS = (b"curl", b"Wget", b"Mozilla/5.0")
"""What the names of programs begin with that show answers to people as they come."""
_DOCUMENTS = ("/api", "/openapi")
_log = logging.getLogger(__name__)


class Authenticator(Protocol):
    """Finds the user of a request; raises ApiError 401."""

    async def authenticate(self, credentials: Credentials) -> User:
        """The user, anonymous without credentials."""
        ...


class Documents(Protocol):
    """Answers paths with documents made from the catalogue: discovery, OpenAPI."""

    def answer(self, path: str, accept: str, if_none_match: str) -> DiscoveryAnswer | None:
        """The document, None if the path is not one of these."""
        ...

    def is_long(self, path: str) -> bool:
        """Whether making that document would hold up other requests; `answer` may then be called in a thread."""
        ...


class Application(Protocol):
    """The ASGI application for everything that is no resource."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        ...


class Pipeline:
    """The resource API as one ASGI application; `others` serves the rest after the same checks."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        authorizer: Authorizer,
        dispatch: Dispatch,
        sources: Sequence[Documents],
        aggregator: Aggregator,
        flow: FlowControl,
        metrics: RequestMetrics,
        auditor: Auditor | None,
        others: Application,
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._dispatch = dispatch
        self._catalogue = dispatch.registry.catalogue
        self._sources = tuple(sources)
        self._long_documents = asyncio.Lock()
        self._aggregator = aggregator
        self._flow = flow
        self._metrics = metrics
        self._auditor = auditor
        self._others = others
        self._fanout = Fanout()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request from its scope to its answer."""
        began = time.perf_counter()
        if scope["type"] == "websocket":
            send = before_handshake(send)
        headers = dict(scope["headers"])
        method: str = scope.get("method", "GET")
        extra: Headers = [(b"audit-id", headers.get(b"audit-id") or audit_id())]
        accept = negotiation.OBJECT
        info = attributes = record = seat = None
        user = STRANGER
        warnings: list[str] = []
        annotations: dict[str, str] = {}
        code = 200
        try:
            credentials = presented(scope, headers)
            user = await self._authenticator.authenticate(credentials)
            if credentials.notes is not None:
                warnings += credentials.notes.warnings
                annotations |= credentials.notes.annotations
            parsed = options.parse(scope["query_string"], method)
            info = request.parse(method, scope["path"], parsed)
            attributes = _attributes(info, parsed, user)
            if self._auditor is not None:
                record = self._record(attributes, scope, extra[0][1], began=began, annotations=annotations)
                if record is not None:
                    send = await record.received(scope, send)
            if any(name.startswith(b"impersonate-") for name in headers) and (other := wanted(scope["headers"])):
                impersonated = await impersonate(attributes, other, authorizer=self._authorizer)
                user = impersonated.user
                attributes = replace(attributes, user=user)
                if record is not None:
                    record.impersonated(user, constraint=impersonated.constraint)
            if info.verb == "watch" or not _is_long_running(info):
                flow = self._flow.flow(user, info)
                extra += flow.headers
                seat = self._flow.take(flow, info, parsed)
                if seat is None:
                    seat = await self._flow.wait(flow, info, parsed, gone=left(receive))
            verdict, reason = await self._authorizer.authorize(attributes)
            if record is not None:
                record.authorized(verdict, reason)
            if verdict is not Verdict.ALLOW:
                raise denial(attributes, reason)
            if self._aggregator.routes and (route := self._aggregator.find(info)) is not None:
                passing = Passing(info, user, b"", scope, receive, with_headers(send, extra[1:]), extra[0][1])
                if method in _WITH_BODY and not joining.wanted(passing):
                    passing = replace(passing, body=await read_body(receive, headers))
                if info.verb == "watch" and seat is not None:
                    seat.leave(time.perf_counter() - began)
                    seat = None
                code = await self._aggregator.serve(route, passing)
                return
            if not info.plural:
                await self._non_resource(scope, receive, send, headers, extra, user)
                return
            resource = self._catalogue.by_path(info.group, info.version, info.plural)
            if resource is None:
                raise no_such_path()
            accept = _accept(headers, parsed, info, resource)
            body = b""
            if method in _WITH_BODY and info.subresource not in _STREAMED:
                body = await read_body(receive, headers)
            content_type = negotiation.media_type(headers.get(b"content-type", b""))

            def permit(verb: str, known: Attributes = attributes) -> Awaitable[None]:
                return self._authorizer.require(replace(known, verb=verb))

            call = Call(
                info,
                parsed,
                user,
                resource,
                accept,
                content_type,
                body,
                scope,
                receive,
                send,
                permit,
                warnings,
                annotations,
            )
            if record is not None:
                record.call = call
            outcome = await self._dispatch(call)
            if warnings:
                extra += warning_headers(warnings)
            if isinstance(outcome, Answer):
                code = outcome.code
                if record is not None:
                    record.answered(outcome)
                gzip = outcome.worth_gzip and negotiation.accepts_gzip(headers.get(b"accept-encoding", b""))
                await send_answer(send, outcome, accept=accept, accepts_gzip=gzip, extra=extra)
            elif outcome is not None:
                if seat is not None:  # a stream holds it until it begins
                    seat.leave(time.perf_counter() - began)
                    seat = None
                await self._stream(outcome, call, extra)
        except Exception as error:
            problem = _problem(error, method, scope["path"])
            code = problem.code
            if attributes is None and self._auditor is not None:  # a stranger, or a query that cannot be read
                attributes = _attributes(request.parse(method, scope["path"], options.DEFAULT), options.DEFAULT, user)
                record = self._record(attributes, scope, extra[0][1], began=began, annotations=annotations)
                if record is not None:
                    with contextlib.suppress(ApiError):  # it is refused as it is
                        send = await record.received(scope, send)
            if record is not None:
                record.failed(problem, error)
            await self._refuse(send, problem, accept, extra + warning_headers(warnings))
        finally:
            if info is None:  # a stranger, or a query that cannot be read
                info = request.parse(method, scope["path"], options.DEFAULT)
            seconds = time.perf_counter() - began
            if seat is not None:
                seat.leave(seconds)
            self._metrics.observe(_metric_key(info, self._catalogue), code, -1.0 if _is_long_running(info) else seconds)
            if record is not None:
                record.finish()

    def _record(
        self, attributes: Attributes, scope: Scope, audit: bytes, *, began: float, annotations: dict[str, str]
    ) -> Record | None:
        assert self._auditor is not None
        return self._auditor.begin(
            attributes,
            scope=scope,
            audit_id=audit,
            seconds=time.perf_counter() - began,
            long_running=_is_long_running(attributes),
            annotations=annotations,
        )

    async def _stream(self, stream: Stream, call: Call, extra: Headers) -> None:
        key = _metric_key(call.info, self._catalogue)
        streams = self._metrics.streams
        streams[key] = streams.get(key, 0) + 1
        try:
            watch, outlet = stream.chunks, call.scope.get("state", {}).get(OUTLET)
            if call.scope["type"] == "websocket":
                offered = call.scope.get("subprotocols") or ()
                subprotocols = [name for name in offered if not name.startswith(joining.TOKEN_PROTOCOL)]
                await send_events(call.receive, call.send, stream, subprotocols=subprotocols)
            elif call.info.method == "HEAD":
                await send_head(call.send, stream, extra=extra)
            elif outlet is not None and isinstance(watch, WatchStream):
                await send_watch(
                    call.receive, call.send, stream, watch=watch, outlet=outlet, fanout=self._fanout, extra=extra
                )
            else:
                await send_stream(call.receive, call.send, stream, extra=extra)
        except Exception:
            # The answer has begun: all that is left is to end the connection.
            _log.exception("the stream of %s broke", call.info.path)
        finally:
            streams[key] -= 1
            await stream.chunks.aclose()

    async def _non_resource(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], extra: Headers, user: User
    ) -> None:
        path: str = scope["path"]
        if path.startswith(_DOCUMENTS) and scope["type"] == "http":
            known = headers.get(b"if-none-match", b"").decode("latin-1")
            wanted = headers.get(b"accept", b"").decode("latin-1")
            found = await self._document(path, wanted, known)
            answer = Answer(found.body, found.status, found.content_type.encode(), worth_gzip=True)
            extra += [(b"etag", found.etag.encode()), (b"vary", b"Accept")]
            gzip = negotiation.accepts_gzip(headers.get(b"accept-encoding", b""))
            await send_answer(send, answer, accept=negotiation.OBJECT, accepts_gzip=gzip, extra=extra)
            return
        scope.setdefault("state", {})["user"] = user
        await self._others(scope, receive, with_headers(send, extra))

    async def _document(self, path: str, wanted: str, known: str) -> DiscoveryAnswer:
        for source in self._sources:
            if source.is_long(path):
                async with self._long_documents:
                    found = await asyncio.to_thread(source.answer, path, wanted, known)
            else:
                found = source.answer(path, wanted, known)
            if found is not None:
                return found
        raise no_such_path()

    async def _refuse(self, send: Send, error: ApiError, accept: negotiation.Representation, extra: Headers) -> None:
        answer = ANSWER if isinstance(error, Refused) else error_answer(error)
        await send_answer(send, answer, accept=accept, accepts_gzip=False, extra=extra + error_headers(error))


def _problem(error: Exception, method: str, path: str) -> ApiError:
    """What a client is told of an error. One that nobody expected is logged; the client learns that it is."""
    match error:
        case ApiError():
            return error
        case FutureRevision():
            return ApiError(504, "Timeout", str(error), details={"retryAfterSeconds": 1})
        case StoreUnavailable():
            return service_unavailable(f"the store is not available: {error}")
    _log.error("%s %s failed", method, path, exc_info=error)
    return internal("the server met an unexpected condition; its log says more")


def _is_long_running(info: request.RequestInfo | Attributes) -> bool:
    return info.verb in _LONG_RUNNING or info.subresource in _LONG_RUNNING


def _accept(
    headers: dict[bytes, bytes], parsed: options.Options, info: request.RequestInfo, resource: Resource
) -> negotiation.Representation:
    header = headers.get(b"accept", b"")
    tables = b"as=" not in header or _has_tables(resource, info.subresource)
    accept = negotiation.accept(header, tables=tables, watch=info.verb == "watch")
    pretty = parsed.pretty
    if pretty is None:
        pretty = headers.get(b"user-agent", b"").startswith(_HUMANS)
    return replace(accept, pretty=True) if pretty else accept


def _has_tables(resource: Resource, subresource: str) -> bool:
    """Whether there are objects to show: not for what is only created, as reviews and bindings are."""
    if not subresource:
        return "get" in resource.verbs
    row = resource.subresource(subresource)
    return row is not None and row.kind in (resource.kind, "Scale")


def _attributes(info: request.RequestInfo, parsed: options.Options, user: User) -> Attributes:
    if not info.plural:
        return Attributes(user, info.verb, info.path)
    if info.verb not in _NARROWED:
        return Attributes(
            user,
            info.verb,
            info.path,
            info.group,
            info.version,
            info.plural,
            info.subresource,
            info.namespace,
            info.name,
        )
    # A list of one is judged as that one, so that a rule with resourceNames can allow its watch.
    name = info.name or parsed.field_selector.value_of("metadata.name") or ""
    return Attributes(
        user,
        info.verb,
        info.path,
        info.group,
        info.version,
        info.plural,
        info.subresource,
        info.namespace,
        name,
        parsed.field_selector,
        parsed.label_selector,
    )


def _metric_key(info: request.RequestInfo, catalogue: Catalogue) -> tuple[str, str, str, str, str, str]:
    """The labels of a request. Only words of the catalogue are labels: clients could make up others without end."""
    resource = catalogue.by_path(info.group, info.version, info.plural) if info.plural else None
    if resource is None or (info.subresource and resource.subresource(info.subresource) is None):
        return (info.verb.upper(), "", "", "", "", "")
    scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
    return (info.verb.upper(), info.group, info.version, info.plural, info.subresource, scope)
