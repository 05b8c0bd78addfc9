"""One request on its way through the pipeline: what it brought, and what has become known of it."""

from __future__ import annotations

import time

from .audit.auditor import STRANGER
from .audit.record import Record
from .authn.base import User
from .authz.base import Attributes
from .calls import Receive, Scope, Send
from .flowcontrol.control import Seat
from .wire import negotiation
from .wire.options import DEFAULT, Options
from .wire.request import RequestInfo
from .wire.respond import Headers, audit_id

_NARROWED = frozenset({"list", "watch", "deletecollection"})
"""Verbs whose selectors say what they reach."""
_UNREAD = RequestInfo("", "", "")
_UNJUDGED = Attributes(STRANGER, "")


class Passage:
    """`extra` are headers of the answer, the audit's name of the request first. `code` is the answer's so far."""

    __slots__ = (
        "accept",
        "annotations",
        "attributes",
        "began",
        "code",
        "extra",
        "headers",
        "info",
        "method",
        "options",
        "receive",
        "record",
        "scope",
        "seat",
        "send",
        "user",
        "warnings",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began = time.perf_counter()
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope.get("method", "GET")
        self.extra: Headers = [(b"audit-id", self.headers.get(b"audit-id") or audit_id())]
        self.user: User = STRANGER
        self.options: Options = DEFAULT
        self.info = _UNREAD
        self.attributes = _UNJUDGED
        self.accept = negotiation.OBJECT
        self.record: Record | None = None
        self.seat: Seat | None = None
        self.warnings: list[str] = []
        self.annotations: dict[str, str] = {}
        self.code = 200

    @property
    def is_known(self) -> bool:
        """Whether it has become known who asks for what."""
        return self.info is not _UNREAD

    @property
    def audit_id(self) -> bytes:
        """How the answer and the audit log call the request."""
        return self.extra[0][1]

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.perf_counter() - self.began

    @property
    def accepts_gzip(self) -> bool:
        """Whether the client can read a compressed answer."""
        return negotiation.accepts_gzip(self.headers.get(b"accept-encoding", b""))

    def listen(self) -> None:
        """Record what somebody else sends."""
        if self.record is not None:
            self.send = self.record.listening(self.send)

    def leave(self) -> None:
        """Give the seat back."""
        if self.seat is not None:
            self.seat.leave(self.seconds)
            self.seat = None


def attributes_of(info: RequestInfo, parsed: Options, user: User) -> Attributes:
    """The request as authorizers see it."""
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
    # A list of one is judged as that one, so that a rule with resourceNames can allow its watch; a deletion is not.
    name = info.name
    if not name and info.verb != "deletecollection":
        name = parsed.field_selector.value_of("metadata.name") or ""
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
