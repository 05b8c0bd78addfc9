"""From the API's bytes to frozen models: objects, lists and watch lines, each decoded once.

pydantic-core reads JSON bytes straight into a model, which is several times cheaper than a detour over dictionaries. An
API server other than ours may leave `null` where a model wants a value, and leaves kind and version off the items of a
list; both are mended on a slow path that is taken only then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, cast

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from .errors import ApiError
from .kinds.base import K, ResourceType

log = logging.getLogger(__name__)

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class Listing(Generic[K]):
    """A consistent list: items and the revision to watch from."""

    items: list[K]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[K]):
    """One change. A BOOKMARK's object holds nothing but its resource version."""

    type: EventType
    object: K


def decode(resource: ResourceType[K], document: bytes) -> K:
    """One object. Raises ValidationError if the document is none of this kind."""
    try:
        found = resource.model.model_validate_json(document)
    except ValidationError:
        found = resource.model.model_validate(_without_nulls(orjson.loads(document)))
    return found if found.kind else _named(resource, found)


def decode_list(resource: ResourceType[K], document: bytes) -> Listing[K]:
    """A page of objects. An item that cannot be read is logged and left out, so that it cannot stop a component.

    Raises ValueError for what is no list at all.
    """
    try:
        page = _page(resource.model).validate_json(document)
        items = page["items"]
    except ValidationError:
        page = orjson.loads(document)
        if not isinstance(page, dict):
            raise ValueError(f"no list: {document[:100]!r}") from None
        items = [item for raw in page.get("items") or () if (item := _lenient(resource, raw)) is not None]
    if items and not items[0].kind:
        items = [_named(resource, item) for item in items]
    metadata = page.get("metadata") or {}
    return Listing(items, str(metadata.get("resourceVersion") or ""), str(metadata.get("continue") or ""))


_HEAD = b'{"type":"'
_MIDDLE = b'","object":'


def decode_event(resource: ResourceType[K], line: bytes) -> WatchEvent[K] | None:
    """One line of a watch; None for an object that cannot be read, which is logged.

    Raises ApiError for an ERROR line, ValueError for what is no event at all.
    """
    middle = line.find(_MIDDLE, len(_HEAD), 64)
    if middle > 0 and line.startswith(_HEAD) and line.endswith(b"}"):
        type_ = line[len(_HEAD) : middle].decode()
        document = line[middle + len(_MIDDLE) : -1]
    else:
        raw = orjson.loads(line)
        if not isinstance(raw, dict) or "object" not in raw:
            raise ValueError(f"no watch event: {line[:100]!r}")
        type_, document = str(raw.get("type")), orjson.dumps(raw["object"])
    if type_ == "ERROR":
        status = orjson.loads(document)
        raise ApiError.from_status(int(status.get("code") or 500), status)
    try:
        return WatchEvent(cast(EventType, type_), decode(resource, document))
    except ValidationError as error:
        log.error("%s: cannot read a watch event: %s", resource.plural, error)
        return None


def _lenient(resource: ResourceType[K], raw: Any) -> K | None:
    try:
        return resource.model.model_validate(_without_nulls(raw))
    except ValidationError as error:
        name = (raw.get("metadata") or {}).get("name")
        log.error("%s: cannot read %s: %s", resource.plural, name, error)
        return None


_Meta = TypedDict("_Meta", {"resourceVersion": str, "continue": str}, total=False)


class _Page(TypedDict, Generic[K]):
    metadata: _Meta
    items: list[K]


@cache
def _page(model: type[K]) -> TypeAdapter[Any]:
    return TypeAdapter(_Page[model])  # type: ignore[valid-type]


def _named(resource: ResourceType[K], found: K) -> K:
    return found.model_copy(update={"kind": resource.kind, "api_version": resource.api_version})


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case _:
            return value
