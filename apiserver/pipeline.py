"""One request: authenticate → audit → impersonate → flow control → authorize → admit → registry → answer.

Every request passes here, those for health and metrics too. What is no resource and no discovery document goes on to
FastAPI. The path of a plain GET is kept short: nothing is copied, logged or looked up twice.

Source: Kubernetes' apiserver, server/config.go (DefaultBuildHandlerChain).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from k8slite.catalogue import Resource
from k8slite.errors import ApiError, internal, no_such_path, service_unavailable

from .aggregation.aggregator import Aggregator
from .aggregation.proxy import Passing
from .aggregation.services import ApiService
from .audit.auditor import Auditor
from .audit.policy import Decision as AuditRule
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
from .passage import Passage, attributes_of
from .proxying import joining
from .storage.base import FutureRevision, StoreUnavailable
from .watching.watch import WatchStream
from .wire import negotiation, options, request
from .wire.body import Bodies
from .wire.connection import OUTLET
from .wire.exchange import left
from .wire.fanout import Fanout
from .wire.incoming import Body, readable
from .wire.metrics import RequestMetrics, key_of
from .wire.respond import (
    Headers,
    disconnected,
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
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request from its scope to its answer."""
        if scope["type"] == "websocket":
            send = before_handshake(send)
        passage = Passage(scope, receive, send)
        try:
            await self._identify(passage)
            await self._enter(passage)
            await self._authorize(passage)
            await self._serve(passage)
        except Exception as error:
            await self._fail(passage, error)
        finally:
            self._finish(passage)

    async def _identify(self, passage: Passage) -> None:
        """Find out who asks for what; from here on it is recorded. Raises ApiError."""
        credentials = presented(passage.scope, passage.headers)
        user = passage.user = await self._authenticator.authenticate(credentials)
        if (state := passage.scope.get("state")) and (outlet := state.get(OUTLET)) is not None:
            outlet.owner = user.name
        if credentials.notes is not None:
            passage.warnings += credentials.notes.warnings
            passage.annotations |= credentials.notes.annotations
        parsed = passage.options = options.parse(passage.scope["query_string"], passage.method)
        info = passage.info = request.parse(passage.method, passage.scope["path"], parsed)
        attributes = passage.attributes = attributes_of(info, parsed, user)
        if self._auditor is not None and (rule := self._auditor.wants(attributes)) is not None:
            await self._record(passage, attributes, rule)
        if b"impersonate-" in b" ".join(passage.headers):
            await self._impersonate(passage, attributes)

    async def _record(self, passage: Passage, attributes: Attributes, rule: AuditRule) -> None:
        assert self._auditor is not None
        passage.record = record = Record(
            self._auditor,
            rule,
            attributes,
            scope=passage.scope,
            audit_id=passage.audit_id,
            seconds=passage.seconds,
            long_running=passage.info.long_running,
            annotations=passage.annotations,
        )
        await record.received()
        if self._auditor.waits or passage.info.long_running or passage.info.subresource:
            passage.listen()

    async def _impersonate(self, passage: Passage, attributes: Attributes) -> None:
        other = wanted(passage.scope["headers"])
        if not other:
            return
        impersonated = await impersonate(attributes, other, authorizer=self._authorizer)
        passage.user = impersonated.user
        passage.attributes = replace(attributes, user=impersonated.user)
        if passage.record is not None:
            passage.record.impersonated(impersonated.user, constraint=impersonated.constraint)

    async def _enter(self, passage: Passage) -> None:
        """Wait for a turn, where too many ask for theirs. Raises Refused."""
        info = passage.info
        if info.long_running and info.verb != "watch":
            return
        flow = self._flow.flow(passage.user, info)
        passage.extra += flow.headers
        passage.seat = self._flow.take(flow, info, passage.options)
        if passage.seat is None:
            passage.seat = await self._flow.wait(flow, info, passage.options, gone=left(passage.receive))

    async def _read_body(self, passage: Passage) -> bytes:
        """The request's body. Who is slow in sending it holds no seat meanwhile. Raises ApiError."""
        if (body := self._bodies.ready(passage.receive)) is not None:
            return body
        if passage.seat is None:
            return await self._bodies.read(passage.receive, passage.headers)
        passage.leave()
        body = await self._bodies.read(passage.receive, passage.headers)
        flow = self._flow.flow(passage.user, passage.info)
        passage.seat = await self._flow.wait(flow, passage.info, passage.options, gone=left(passage.receive))
        return body

    async def _authorize(self, passage: Passage) -> None:
        """Raise ApiError 403 unless the user may do this."""
        verdict, reason = await self._authorizer.authorize(passage.attributes)
        if passage.record is not None:
            passage.record.authorized(verdict, reason)
        if verdict is not Verdict.ALLOW:
            raise denial(passage.attributes, reason)

    async def _serve(self, passage: Passage) -> None:
        """Answer: through another server, as a document or page, or by a verb. Raises ApiError before the answer."""
        info = passage.info
        if self._aggregator.routes and (route := self._aggregator.find(info)) is not None:
            await self._pass_on(passage, route)
            return
        if not info.plural:
            await self._non_resource(passage)
            return
        call = await self._call(passage)
        outcome = await self._dispatch(call)
        extra = passage.extra
        if passage.warnings:
            extra = extra + warning_headers(passage.warnings)
        if isinstance(outcome, Answer):
            passage.code = outcome.code
            if passage.record is not None:
                passage.record.answered(outcome)
            gzip = outcome.worth_gzip and passage.accepts_gzip
            await send_answer(passage.send, outcome, accept=passage.accept, accepts_gzip=gzip, extra=extra)
        elif outcome is not None:
            passage.leave()  # a stream holds a seat until it begins
            await self._stream(outcome, call, extra)

    async def _pass_on(self, passage: Passage, route: ApiService) -> None:
        passage.listen()
        send = with_headers(passage.send, passage.extra[1:])
        passing = Passing(passage.info, passage.user, b"", passage.scope, passage.receive, send, passage.audit_id)
        if passage.method in _WITH_BODY and not joining.wanted(passing):
            passing = replace(passing, body=await self._read_body(passage))
        if passage.info.verb == "watch":
            passage.leave()
        passage.code = await self._aggregator.serve(route, passing)

    async def _call(self, passage: Passage) -> Call:
        """The request as verbs see it, with its body. Raises ApiError."""
        info, headers, attributes = passage.info, passage.headers, passage.attributes
        resource = self._catalogue.by_path(info.group, info.version, info.plural)
        if resource is None:
            raise no_such_path()
        passage.accept = _accept(headers, passage.options, info, resource)
        body, leaving = Body(b"", negotiation.media_type(headers.get(b"content-type", b""))), None
        if passage.method in _WITH_BODY and info.subresource not in _STREAMED:
            body = await readable(await self._read_body(passage), body.content_type)
            leaving = partial(disconnected, passage.receive, "http.disconnect")

        def permit(verb: str) -> Awaitable[None]:
            return self._authorizer.require(replace(attributes, verb=verb))

        call = Call(
            info,
            passage.options,
            passage.user,
            resource,
            passage.accept,
            body.content_type,
            body.content,
            passage.scope,
            passage.receive,
            passage.send,
            permit,
            passage.warnings,
            passage.annotations,
            leaving=leaving,
            repeated=body.repeated,
        )
        if passage.record is not None:
            passage.record.call = call
        return call

    async def _fail(self, passage: Passage, error: Exception) -> None:
        """Tell the client of an error, and the record."""
        problem = _problem(error, passage.method, passage.scope["path"])
        passage.code = problem.code
        if not passage.is_known:  # a stranger, or a query that cannot be read
            passage.info = request.parse(passage.method, passage.scope["path"], options.DEFAULT)
            attributes = attributes_of(passage.info, options.DEFAULT, passage.user)
            if self._auditor is not None and (rule := self._auditor.wants(attributes)) is not None:
                with contextlib.suppress(ApiError):  # it is refused as it is
                    await self._record(passage, attributes, rule)
        if passage.record is not None:
            passage.record.failed(problem, error)
        answer = ANSWER if isinstance(problem, Refused) else error_answer(problem)
        extra = passage.extra + warning_headers(passage.warnings) + error_headers(problem)
        await send_answer(passage.send, answer, accept=passage.accept, accepts_gzip=False, extra=extra)

    def _finish(self, passage: Passage) -> None:
        passage.leave()
        info = passage.info
        seconds = -1.0 if info.long_running else passage.seconds
        self._metrics.observe(key_of(info, self._catalogue), passage.code, seconds)
        if passage.record is not None:
            passage.record.finish()

    async def _stream(self, stream: Stream, call: Call, extra: Headers) -> None:
        key = key_of(call.info, self._catalogue)
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

    async def _non_resource(self, passage: Passage) -> None:
        passage.listen()
        path: str = passage.scope["path"]
        if path.startswith(_DOCUMENTS) and passage.scope["type"] == "http":
            known = passage.headers.get(b"if-none-match", b"").decode("latin-1")
            form = passage.headers.get(b"accept", b"").decode("latin-1")
            found = await self._document(path, form, known)
            answer = Answer(found.body, found.status, found.content_type.encode(), worth_gzip=True)
            extra = [*passage.extra, (b"etag", found.etag.encode()), (b"vary", b"Accept")]
            gzip = passage.accepts_gzip
            await send_answer(passage.send, answer, accept=negotiation.OBJECT, accepts_gzip=gzip, extra=extra)
            return
        passage.scope.setdefault("state", {})["user"] = passage.user
        await self._others(passage.scope, passage.receive, with_headers(passage.send, passage.extra))

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
