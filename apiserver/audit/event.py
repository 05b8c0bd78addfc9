"""The parts of an audit event that are read from a request: who, where from, what for. Pure.

An event is a dictionary with the fields of `audit.k8s.io/v1` Event in their order, or a line of JSON (`encode`). No
part of it holds a credential: the Authorization header is not read, and tokens in a query are left out.

Source: Kubernetes' apiserver, audit/request.go and apis/audit/v1; apimachinery, util/net (SourceIPs).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import orjson

from k8slite.remembering import Recent, remembered

from ..authn.base import User
from ..authz.base import Attributes

Event = dict[str, Any]
PREFIX = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
"""What every line begins with."""
TRUNCATED = "audit.k8s.io/truncated"
_AGENT_LIMIT = 1024
_AGENT_CUT = "...TRUNCATED"
_WORDS = ("token", "password", "secret")
"""What names of parameters hold that clients of a proxied service, or of other servers, bring credentials in."""
_PARAMETER = re.compile("([^&=]*)=[^&]*")
_USERS = 4096


def encode(event: Event) -> bytes:
    """An event as a line."""
    return _dumps(event, orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _dumps(document: Any, option: int = 0) -> bytes:
    """JSON, whatever the strings in it: JSON that came (a token's claims, a review) may name halves of characters."""
    try:
        return orjson.dumps(document, option=option)
    except TypeError:
        return orjson.dumps(_whole(document), option=option)


def _whole(node: Any) -> Any:
    """The same with U+FFFD for what is no character."""
    if isinstance(node, str):
        return node.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(node, dict):
        return {_whole(key): _whole(value) for key, value in node.items()}
    return [_whole(item) for item in node] if isinstance(node, list | tuple) else node


def without_objects(event: Event) -> Event:
    """A copy that says it was cut: without what the request brought and what it got."""
    kept = {key: value for key, value in event.items() if key not in ("requestObject", "responseObject")}
    kept["annotations"] = {**kept.get("annotations", {}), TRUNCATED: "true"}
    return kept


def moment(now: datetime, *, before: float = 0.0) -> datetime:
    """So many seconds `before` now, as events hold it: with microseconds, which an encoder leaves out if they are 0."""
    if before:
        now -= timedelta(seconds=before)
    return now if now.microsecond else now.replace(microsecond=1)


def request_uri(scope: Mapping[str, Any]) -> str:
    """The request's path and query as they came, but for credentials in the query."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.decode("latin-1")
    if not scope["query_string"]:
        return path
    query: str = scope["query_string"].decode("latin-1")
    lowered = unquote(query).lower() if "%" in query else query.lower()
    if any(word in lowered for word in _WORDS):
        query = _PARAMETER.sub(_without_credentials, query)
    return f"{path.partition('?')[0]}?{query}"


def _without_credentials(parameter: re.Match[str]) -> str:
    name = unquote(parameter[1]).lower()
    return f"{parameter[1]}=REDACTED" if any(word in name for word in _WORDS) else parameter[0]


def source_ips(scope: Mapping[str, Any]) -> list[str]:
    """Where a request came from: forwarding proxies' word for it first, the connection's own address last."""
    client = scope.get("client")
    remote = _address(client[0]) if client else None
    forwarded, real = "", ""
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for":
            forwarded = forwarded or value.decode("latin-1")
        elif name == b"x-real-ip":
            real = real or value.decode("latin-1")
    if not forwarded and not real:
        return [remote] if remote else []
    found = [address for text in forwarded.split(",") if (address := _address(text))] if forwarded else []
    if (address := _address(real)) and address not in found:
        found.append(address)
    if remote and (not found or found[-1] != remote):
        found.append(remote)
    return found


@remembered(1024)
def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def user_agent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """What the client calls itself, cut if it is long."""
    for name, value in headers:
        if name == b"user-agent":
            text = value.decode("utf-8", "replace")
            return text if len(text) <= _AGENT_LIMIT else text[:_AGENT_LIMIT] + _AGENT_CUT
    return ""


def user_info(user: User) -> dict[str, Any]:
    """A user as `authentication.k8s.io/v1` UserInfo; what is empty is left out."""
    info: dict[str, Any] = {}
    if user.name:
        info["username"] = user.name
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


class Users:
    """Users as events name them, encoded once for each: authentication gives the same object again."""

    def __init__(self) -> None:
        self._known: Recent[int, tuple[User, orjson.Fragment]] = Recent(_USERS)

    def encoded(self, user: User) -> orjson.Fragment:
        """A user's UserInfo."""
        known = self._known.get(id(user))
        if known is not None and known[0] is user:
            return known[1]
        made = orjson.Fragment(_dumps(user_info(user)))
        self._known.keep(id(user), (user, made))
        return made


def object_ref(attributes: Attributes, metadata: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What a request is about; `metadata`, of the object that it brought, fills in what the path does not say."""
    if not attributes.resource:
        return None
    reference: dict[str, str] = {"resource": attributes.resource}
    namespace, name, uid, revision = attributes.namespace, attributes.name, "", ""
    if metadata:
        namespace, name = namespace or _text(metadata, "namespace"), name or _text(metadata, "name")
        uid, revision = _text(metadata, "uid"), _text(metadata, "resourceVersion")
    if namespace:
        reference["namespace"] = namespace
    if name:
        reference["name"] = name
    if uid:
        reference["uid"] = uid
    if attributes.group:
        reference["apiGroup"] = attributes.group
    if attributes.version:
        reference["apiVersion"] = attributes.version
    if revision:
        reference["resourceVersion"] = revision
    if attributes.subresource:
        reference["subresource"] = attributes.subresource
    return reference


def _text(metadata: Mapping[str, Any], field: str) -> str:
    """A field of a document that a client wrote, empty if it is no text."""
    value = metadata.get(field)
    return value if isinstance(value, str) else ""
