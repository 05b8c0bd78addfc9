"""GET, LIST and WATCH.

Objects leave as the bytes they are stored as: a list joins them, a watch wraps them. Only a Table, metadata alone, or
another served version decodes.

Source: Kubernetes documentation, "API concepts" (resource versions, large result sets, efficient detection of changes).
"""

from __future__ import annotations

import re

from k8slite.errors import bad_request, expired, too_large_resource_version
from k8slite.selectors import FieldSelector

from ..calls import Answer, Call, Stream
from ..documents import list_body, prefix
from ..registry import Registry, Served, require_verb
from ..storage.base import Compacted, FutureRevision
from ..watching import watch
from ..watching.cache import Entry, WatchCache
from ..watching.resources import Listing
from ..wire.options import Options, check_list, revision
from . import paging, representations
from .converted_watch import ConvertedWatch

_CATCH_UP = 3.0
"""Seconds that a read waits for a revision that the server has not reached."""
_SHORTEST_WATCH = 1800
"""Seconds after which a watch without a timeout may end; each gets up to twice as long, so that not all end at once."""
_NAMES = ("metadata.name", "metadata.namespace")


async def get(registry: Registry, call: Call) -> Answer:
    """GET one object."""
    require_verb(call.resource, "get")
    return await read_object(registry, call)


async def read_object(registry: Registry, call: Call) -> Answer:
    """GET one object, or its status subresource, which is the same object."""
    served = registry.find(*call.resource.key)
    wanted = revision(call.options.resource_version)
    if wanted:
        await _reach(registry.cache, wanted)
    elif call.options.resource_version != "0":
        await registry.cache.consistent()
    info = call.info
    entry = served.cache.get(info.namespace if served.resource.namespaced else "", info.name)
    if entry is None:
        raise served.not_found(info.name)
    if call.accept.form == "object" and served.is_plain(entry.revision):
        return Answer(entry.value)
    return await representations.single(served, call, entry.value, registry.clock.now())


async def list_objects(registry: Registry, call: Call) -> Answer:
    """LIST a collection."""
    require_verb(call.resource, "list")
    served = registry.find(*call.resource.key)
    options = call.options
    check_list(options)
    check_fields(served, options.field_selector)
    listing = await _listing(registry, served, call)
    namespace = call.info.namespace if served.resource.namespaced else ""
    token = ""
    extra = b""
    if listing.remaining:
        base = prefix(served.stored.group, served.stored.plural, namespace)
        token = paging.encode(paging.Position(listing.revision, listing.last.removeprefix(base)))
        extra = b',"continue":"%b"' % token.encode()
        if not options.label_selector and not options.field_selector:
            extra += b',"remainingItemCount":%d' % listing.remaining
    if call.accept.form == "object" and not served.converts and served.converter is None:
        items = [entry.value for entry in listing.entries]
        resource = served.resource
        body = list_body(f"{resource.kind}List", resource.api_version, items, revision=listing.revision, extra=extra)
        return Answer(body, worth_gzip=True)
    return await representations.collection(served, call, listing, registry.clock.now(), token=token, extra=extra)


async def _listing(registry: Registry, served: Served, call: Call) -> Listing:
    options, namespace = call.options, call.info.namespace if served.resource.namespaced else ""
    wanted, exact, after = revision(options.resource_version), False, ""
    position = None
    if options.continue_token:
        if wanted:
            raise bad_request("specifying resource version is not allowed when using continue")
        position = paging.decode(options.continue_token)
        after = prefix(served.stored.group, served.stored.plural, namespace) + position.key
        wanted, exact = position.revision, bool(position.revision)
        if not wanted:
            await registry.cache.consistent()
    elif wanted:
        # A limit makes an old-style request exact, as its next pages are.
        exact = options.resource_version_match == "Exact" or (
            bool(options.limit) and not options.resource_version_match
        )
        await _reach(registry.cache, wanted)
    elif options.resource_version != "0":
        await registry.cache.consistent()
    try:
        return await served.cache.page(
            namespace=namespace,
            labels=options.label_selector,
            fields=options.field_selector,
            after=after,
            limit=options.limit,
            revision=wanted if exact else 0,
        )
    except Compacted as error:
        raise paging.expired(position) if position else expired() from error
    except FutureRevision as error:
        raise too_large_resource_version(wanted, registry.cache.revision) from error


def candidates(served: Served, options: Options, namespace: str) -> list[Entry]:
    """What a selector matches now. Raises ApiError for a field that cannot be selected."""
    check_fields(served, options.field_selector)
    return served.cache.select(
        namespace=namespace if served.resource.namespaced else "",
        labels=options.label_selector,
        fields=options.field_selector,
    )


def check_fields(served: Served, selector: FieldSelector) -> None:
    """Refuse a field that the kind does not offer for selection. Raises ApiError 400."""
    for requirement in selector.requirements:
        if requirement.field in _NAMES or requirement.field in served.strategy.selectable_fields:
            continue
        detail = f"field label not supported: {requirement.field}"
        if re.match(r"^(metadata|spec|status)\.", requirement.field) is None and served.resource.group == "":
            detail = f'field label "{requirement.field}" not supported for {served.resource.kind}'
        raise bad_request(detail)


async def watch_objects(registry: Registry, call: Call) -> Stream:
    """WATCH a collection or one object."""
    require_verb(call.resource, "watch")
    served = registry.find(*call.resource.key)
    options = call.options
    check_list(options)
    check_fields(served, options.field_selector)
    wanted = revision(options.resource_version)
    after: int | None = wanted or None
    if options.send_initial_events:
        after = None
        if wanted:
            await _reach(registry.cache, wanted)
    if after is None and options.resource_version != "0":
        await registry.cache.consistent()
    elif wanted:
        await _reach(registry.cache, wanted)
    if options.send_initial_events is False and after is None:
        after = registry.cache.revision
    watcher = served.cache.watch(
        namespace=call.info.namespace if served.resource.namespaced else "",
        labels=options.label_selector,
        fields=options.field_selector,
        after=after,
        bookmarks=options.bookmarks,
        name=call.info.name,
        initial_bookmark=bool(options.send_initial_events),
    )
    timeout = options.timeout_seconds or registry.source.randint(_SHORTEST_WATCH, 2 * _SHORTEST_WATCH)
    shown = representations.watched(served, call, registry.clock)
    lines = watch.stream(
        watcher, timeout=timeout, kind=shown.kind, api_version=shown.api_version, transform=shown.transform
    )
    if shown.render is not None:
        plain = call.accept.form == "object"
        return Stream(ConvertedWatch(lines, served=served, render=shown.render, keeps_plain=plain))
    return Stream(lines)


async def _reach(cache: WatchCache, wanted: int) -> None:
    if cache.revision >= wanted:
        return
    try:
        await cache.wait_for(wanted, _CATCH_UP)
    except FutureRevision as error:
        raise too_large_resource_version(wanted, cache.revision) from error
