"""The system's part of `metadata`: what the API server fills in, carries over and never lets a user set.

Source: Kubernetes' apiserver, registry/rest (FillObjectMetaSystemFields, BeforeCreate, BeforeUpdate).
"""

from __future__ import annotations

import random
from typing import Any

import orjson

from k8slite.catalogue import Resource
from k8slite.errors import bad_request

from ..wire.request import RequestInfo

Document = dict[str, Any]

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_VARIANTS = "89ab"
"""How the fourth part of a UUID begins."""
_LONGEST_BASE = 63 - _SUFFIX_LENGTH
_CARRIED = ("uid", "deletionGracePeriodSeconds")
_KEPT = ("creationTimestamp", "deletionTimestamp")


def generate_name(base: str, source: random.Random) -> str:
    """A name from a base: cut to leave room, with five random characters that spell no words."""
    return base[:_LONGEST_BASE] + "".join(source.choices(_SUFFIX_ALPHABET, k=_SUFFIX_LENGTH))


def new_uid(source: random.Random) -> str:
    """A random UUID, of version 4."""
    digits = f"{source.getrandbits(128):032x}"
    variant = _VARIANTS[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def check_namespace(metadata: Document, resource: Resource, namespace: str) -> None:
    """Take the namespace from the URL; refuse an object that names another. Raises ApiError 400."""
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.get("namespace") or ""
    if given and given != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = namespace


def check_place(metadata: Document, resource: Resource, info: RequestInfo) -> None:
    """Refuse an object that is another one than the URL's; its namespace is filled in. Raises ApiError 400."""
    check_namespace(metadata, resource, info.namespace)
    name = metadata.get("name")
    if not name:
        raise bad_request(
            f"the name of the object ({info.name} based on URL) was undeterminable: name must be provided"
        )
    if name != info.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({info.name})")


def without_repeated_owners(metadata: Document, *, admitted: bool = False) -> list[str]:
    """Drop owners that are named twice: what whoever named them is to be told.

    `admitted` says that admission had its turn.
    """
    owners = metadata.get("ownerReferences")
    if not owners or len(owners) < 2:
        return []
    kept: dict[str, Document] = {}
    repeated: list[str] = []
    for owner in owners:
        if kept.setdefault(orjson.dumps(owner, option=orjson.OPT_SORT_KEYS).decode(), owner) is not owner:
            repeated.append(owner.get("uid") or "")
    if not repeated:
        return []
    metadata["ownerReferences"] = list(kept.values())
    when = " after mutating admission happens" if admitted else ""
    return [
        f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and "
        "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
        + ", ".join(repeated)
    ]


def fill_create(metadata: Document, *, now: str, uid: str, has_generation: bool) -> None:
    """Set what a new object gets from the system, dropping what the user set in its place."""
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"):
        metadata.pop(name, None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = now
    if has_generation:
        metadata["generation"] = 1
    else:
        metadata.pop("generation", None)


def fill_update(metadata: Document, old: Document) -> None:
    """Carry over what an update leaves out or may not change; drop what no update may set."""
    for name in _CARRIED:
        if name in old and not metadata.get(name):
            metadata[name] = old[name]
    for name in _KEPT:
        if name in old:
            metadata[name] = old[name]
    metadata.pop("selfLink", None)
    if "generation" in old:
        metadata["generation"] = old["generation"]
    else:
        metadata.pop("generation", None)
