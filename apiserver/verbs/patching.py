"""PATCH by JSON patches, merge patches and strategic merge patches: a PUT whose object is made from the current one.

Source: Kubernetes' apiserver, endpoints/handlers/patch.go (jsonPatcher, smpPatcher).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import orjson

from k8slite.errors import ApiError, bad_request, unsupported_media_type
from k8slite.schema import Strictness, TypeFacts

from ..calls import Answer, Call
from ..documents import Document
from ..patch import json as json_patch
from ..patch import merge as merge_patch
from ..patch import strategic as strategic_patch
from ..registry import Registry, require_verb
from ..wire.negotiation import load_yaml
from ..wire.options import check_manager
from . import metadata
from .managing import Current, Wanted
from .writing import answer, change_object

_PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


async def patch(registry: Registry, call: Call) -> Answer:
    """PATCH an object, or one of its subresources of the same kind."""
    served = registry.find(*call.resource.key)
    if not call.info.subresource:
        require_verb(call.resource, "patch")
    check_manager(call.options, "PatchOptions")
    strictness = cast(Strictness, call.options.field_validation)
    resource = served.resource
    apply = patch_function(call, registry.schemas.type_of(resource.group, resource.version, resource.kind))
    warned: list[str] = []
    # Entries are many and seldom the patch's business: it sees them if it names them, or may do so in disguise.
    shows_entries = b"managedFields" in call.body or b"\\u" in call.body

    async def make(current: Current) -> Wanted:
        old = current.object
        patched = apply(with_entries(current) if shows_entries else {**old, "metadata": dict(old["metadata"])})
        decoded = registry.schemas.check(
            patched, group=resource.group, version=resource.version, kind=resource.kind, strictness=strictness
        )
        if decoded.object["metadata"].get("name") != old["metadata"]["name"]:
            raise bad_request(
                f"the name of the object ({decoded.object['metadata'].get('name')}) does not match the name on the "
                f"URL ({old['metadata']['name']})"
            )
        metadata.check_namespace(decoded.object["metadata"], resource, call.info.namespace)
        warned[:] = decoded.warnings
        return Wanted(decoded)

    value = await change_object(registry, served, call, make)
    call.warnings.extend(warned)
    return await answer(registry, served, call, value, 200)


def patch_function(call: Call, facts: TypeFacts | None) -> Callable[[Document], Any]:
    """What the body does to a document. Raises ApiError 415, 400; the function raises 422."""
    kind = _PATCHES.get(call.content_type)
    if kind is None:
        raise unsupported_media_type([*_PATCHES, "application/apply-patch+yaml"])
    if kind == "strategic" and facts is None:  # a custom resource: its schema has no merge keys
        offered = [media for media in _PATCHES if _PATCHES[media] != "strategic"]
        raise unsupported_media_type([*offered, "application/apply-patch+yaml"])
    body = _parse_patch(call.body)

    def apply(document: Document) -> Any:
        try:
            match kind:
                case "json":
                    return json_patch.apply(document, body)
                case "merge":
                    return merge_patch.apply(document, _object(body))
                case _:
                    return strategic_patch.apply(document, _object(body), facts)
        except json_patch.PatchError as error:
            if error.code == 400:
                raise bad_request(str(error)) from error
            message = f"the server rejected our request due to an error in our request: {error}"
            raise ApiError(error.code, "Invalid", message, details={}) from error

    return apply


def with_entries(current: Current) -> Document:
    """The object as clients read it."""
    metadata = dict(current.object["metadata"])
    if current.entries:
        metadata["managedFields"] = current.entries
    return {**current.object, "metadata": metadata}


def _object(body: Any) -> Document:
    if not isinstance(body, dict):
        raise bad_request("the patch must be a JSON object")
    return body


def _parse_patch(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return load_yaml(body)
        except ApiError:
            raise bad_request(f"error decoding patch: {error}") from error
