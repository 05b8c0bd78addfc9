"""One request on its way through the server, and the two forms that an answer takes.

Verbs and subresource handlers are coroutines `(Call) -> Outcome`. A handler that speaks on the connection itself (a
WebSocket, a proxied stream) does so through `scope`, `receive` and `send` and returns None.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from k8slite.catalogue import Resource

from .authn.base import User
from .wire.negotiation import JSON, Representation
from .wire.options import Options
from .wire.request import RequestInfo

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Call:
    """A request that may go ahead: who asks for what, in which form.

    `content_type` is the body's media type without parameters; bodies in YAML or protobuf are JSON by now, `repeated`
    has a line for each key that YAML set twice. `warnings` are sent as Warning headers, `annotations`
    go into the audit event, and so does what `metadata` says: that of the object in the body, once it was decoded.
    `permit` raises ApiError 403 unless the user may also do what another verb names. `leaving` returns when the client
    has left; it is None unless the whole body was read.
    """

    info: RequestInfo
    options: Options
    user: User
    resource: Resource
    accept: Representation
    content_type: str
    body: bytes
    scope: Scope
    receive: Receive
    send: Send
    permit: Callable[[str], Awaitable[None]]
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    leaving: Callable[[], Coroutine[Any, Any, None]] | None = None
    repeated: Sequence[str] = ()


@dataclass(slots=True)  # not frozen, as that costs: one is made for every request
class Answer:
    """A whole answer. `worth_gzip` says that the body is large and repetitive."""

    body: bytes
    code: int = 200
    content_type: bytes = JSON
    worth_gzip: bool = False


class Pieces(Protocol):
    """The pieces of an answer, an asynchronous generator or what closes as one."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""
        ...

    async def aclose(self) -> None:
        """Let go of everything; nothing more is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that comes in pieces until the client leaves or the iterator ends. Whoever gets it closes `chunks`."""

    chunks: Pieces
    content_type: bytes = JSON


Outcome = Answer | Stream | None
Handler = Callable[[Call], Awaitable[Outcome]]
Subresources = dict[tuple[str, str, str], Handler]
"""(group, plural, subresource) → handler. Resources without objects (reviews) stand here with an empty subresource."""
