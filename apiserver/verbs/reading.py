"""GET, LIST and WATCH.

Objects leave as the bytes they are stored as: a list joins them, a watch wraps them. Only a Table, metadata alone, or
another served version decodes.

Source: Kubernetes documentation, "API concepts" (resource versions, large result sets, efficient detection of changes).
"""

from __future__ import annotations

from k8slite.errors import bad_request, expired, invalid_value, too_large_resource_version

from ..calls import Answer, Call, Stream
from ..documents import list_body, prefix
from ..registry import Registry, Served, require_verb
from ..storage.base import Compacted, FutureRevision
from ..watching.cache import WatchCache
from ..watching.resources import Listing
from ..watching.watch import WatchStream
from ..wire.options import Options, check_list, revision
from . import paging, representations
from .converted_watch import ConvertedWatch
from .selecting import of_one, selectable

_CATCH_UP = 3.0
"""Seconds that a read waits for a revision that the server has not reached."""
_SHORTEST_WATCH = 1800
"""Seconds after which a watch without a timeout may end; each gets up to twice as long, so that not all end at once."""


async def get(registry: Registry, call: Call) -> Answer:
    """GET one object."""
    require_verb(call.resource, "get")
    return await read_object(registry, call)


async def read_object(registry: Registry, call: Call) -> Answer:
    """GET one object, or its status subresource, which is the same object."""
    served = registry.find(*call.resource.key)
    await _reach(registry.cache, _revision(call.options), call.options)
    info = call.info
    entry = served.cache.get(info.namespace if served.resource.namespaced else "", info.name)
    if entry is None:
        raise served.not_found(info.name)
    if call.accept.form == "object" and served.is_plain(entry.revision):
        return Answer(entry.value, worth_gzip=True)
    return await representations.single(served, call, entry.value, registry.clock.now())


async def list_objects(registry: Registry, call: Call) -> Answer:
    """LIST a collection."""
    require_verb(call.resource, "list")
    served = registry.find(*call.resource.key)
    return await show_listing(registry, served, call, await listing(registry, served, call))


async def show_listing(registry: Registry, served: Served, call: Call, found: Listing) -> Answer:
    """A list, or a page of it, in the form that the client accepts."""
    options = call.options
    namespace = call.info.namespace if served.resource.namespaced else ""
    token = ""
    extra = b""
    if found.remaining:
        base = prefix(served.stored.group, served.stored.plural, namespace)
        token = paging.encode(paging.Position(found.revision, found.last.removeprefix(base)))
        extra = b',"continue":"%b"' % token.encode()
        if not options.label_selector and not options.field_selector:
            extra += b',"remainingItemCount":%d' % found.remaining
    if call.accept.form == "object" and not served.converts and served.converter is None:
        items = [entry.value for entry in found.entries]
        resource = served.resource
        body = list_body(resource.list_kind, resource.api_version, items, revision=found.revision, extra=extra)
        return Answer(body, worth_gzip=True)
    return await representations.collection(served, call, found, registry.clock.now(), token=token, extra=extra)


async def listing(registry: Registry, served: Served, call: Call) -> Listing:
    """What a list, or a page of it, holds. Raises ApiError."""
    check_list(call.options, watch=False)
    options, namespace = call.options, call.info.namespace if served.resource.namespaced else ""
    fields = selectable(served, options.field_selector)
    position, after = None, ""
    if options.continue_token:
        position = paging.decode(options.continue_token)
        if options.resource_version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        after = prefix(served.stored.group, served.stored.plural, namespace) + position.key
        wanted, exact = position.revision, True
    else:
        wanted = _revision(options, "invalid resource version: ")
        # A limit makes an old-style request exact, as its next pages are.
        exact = options.resource_version_match == "Exact" or (
            bool(options.limit) and not options.resource_version_match
        )
    await _reach(registry.cache, wanted, options)
    try:
        return await served.cache.page(
            namespace=namespace,
            labels=options.label_selector,
            fields=fields,
            after=after,
            limit=options.limit,
            revision=wanted if exact else 0,
        )
    except Compacted as error:
        raise paging.expired(position) if position else expired() from error
    except FutureRevision as error:
        raise too_large_resource_version(wanted, registry.cache.revision) from error


async def watch_objects(registry: Registry, call: Call) -> Stream:
    """WATCH a collection or one object."""
    require_verb(call.resource, "watch")
    served = registry.find(*call.resource.key)
    options = call.options
    check_list(options, watch=True)
    fields = selectable(served, options.field_selector)
    of_one(fields, call.info.name)
    wanted = _revision(options)
    await _reach(registry.cache, wanted, options)
    # A watch from no revision in particular begins with what is there, whether it says so or not.
    initial = not wanted if options.send_initial_events is None else options.send_initial_events
    watcher = served.cache.watch(
        namespace=call.info.namespace if served.resource.namespaced else "",
        labels=options.label_selector,
        fields=fields,
        after=None if initial else wanted or registry.cache.revision,
        bookmarks=options.bookmarks,
        name=call.info.name,
        initial_bookmark=initial and options.bookmarks,
    )
    timeout = options.timeout_seconds or registry.source.randint(_SHORTEST_WATCH, 2 * _SHORTEST_WATCH)
    shown, render = representations.watched(served, call, registry.clock)
    lines = WatchStream(watcher, shown, timeout=timeout)
    if render is not None:
        plain = call.accept.form == "object"
        return Stream(ConvertedWatch(lines, served=served, render=render, keeps_plain=plain))
    return Stream(lines)


def _revision(options: Options, prefix: str = "") -> int:
    """The resource version asked for, 0 for any. Raises ApiError 400."""
    text = options.resource_version
    try:
        return revision(text)
    except ValueError as error:
        cause = invalid_value("resourceVersion", text, str(error))
        raise bad_request(f"{prefix}{cause}") from None


async def _reach(cache: WatchCache, wanted: int, options: Options) -> None:
    """Wait until the cache is as new as a read wants it. Raises ApiError 504.

    That is a revision (which another server may have told the client), or all that was written so far, by whichever
    server, unless the client takes whatever there is ("0").
    """
    if not wanted:
        if options.resource_version != "0":
            await cache.consistent()
    elif cache.revision < wanted:
        try:
            await cache.wait_for(wanted, _CATCH_UP)
        except FutureRevision as error:
            raise too_large_resource_version(wanted, cache.revision) from error
