"""What a verb acts on: `pods web`, `pod/web deployment/front`, `deploy -l app=web`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k8slite.catalogue import Resource

from .api import Api
from .failure import Failure


@dataclass(frozen=True, slots=True)
class Target:
    """A resource, and the names asked for; no name means all of them."""

    resource: Resource
    names: tuple[str, ...] = ()


def named(resource: Resource, name: str) -> str:
    """`deployment.apps/front`, as kubectl names objects."""
    return f"{resource.singular}{'.' + resource.group if resource.group else ''}/{name}"


def parse(api: Api, words: Sequence[str], *, selector: str = "") -> list[Target]:
    """Read the words of a command line. Raises Failure, also for names beside a selector."""
    targets = _parse(api, words)
    if selector and any(target.names for target in targets):
        raise Failure("name cannot be provided when a selector is specified")
    return targets


def _parse(api: Api, words: Sequence[str]) -> list[Target]:
    if not words:
        raise Failure("you must specify the type of resource")
    if not all(words):  # an unset variable of a script: nobody means everything
        raise Failure("resource name may not be empty")
    if any("/" in word for word in words):
        return [_slashed(api, word) for word in words]
    kinds = words[0].split(",")
    if kinds == ["all"]:
        return [
            Target(resource)
            for resource in api.catalogue()
            if "all" in resource.categories and _preferred(api, resource)
        ]
    return [Target(api.resource(kind), tuple(words[1:])) for kind in kinds]


def _preferred(api: Api, resource: Resource) -> bool:
    """Whether this is the version of the resource that a bare word means."""
    return api.catalogue().resolve(resource.qualified) == resource


def _slashed(api: Api, word: str) -> Target:
    kind, slash, name = word.partition("/")
    if not (slash and kind and name):
        raise Failure(f"there is no need to specify a resource type as a separate argument: {word!r} is not type/name")
    return Target(api.resource(kind), (name,))


def one(api: Api, words: Sequence[str]) -> tuple[Resource, str]:
    """Exactly one named object. Raises Failure."""
    targets = parse(api, words)
    if len(targets) != 1 or len(targets[0].names) != 1:
        raise Failure("name exactly one object, as deployment/front")
    return targets[0].resource, targets[0].names[0]
