"""Where a manifest's object belongs: its resource, namespace and URL path."""

from __future__ import annotations

from dataclasses import dataclass

from k8slite.catalogue import Resource

from ..api import Api
from ..failure import Failure
from ..manifests import Manifest


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the API. `path` is that of the object, and of no use without a name; `namespace` is empty for a
    cluster-scoped one."""

    resource: Resource
    namespace: str
    name: str
    collection: str
    path: str


def place(api: Api, manifest: Manifest, *, named: bool) -> Place:
    """Where a manifest's object belongs; `named` if it must have a name. Raises Failure."""
    document, metadata = manifest.object, manifest.object["metadata"]
    group, _, version = document["apiVersion"].rpartition("/")
    resource = api.catalogue().by_kind(group, version, document["kind"])
    if resource is None:
        raise Failure(f'no matches for kind "{document["kind"]}" in version "{document["apiVersion"]}"')
    name = metadata.get("name") or ""
    if named and not name:
        raise Failure(f"{document['kind']} has no metadata.name, and a generated one cannot be found again; use create")
    namespace = ""
    if resource.namespaced:
        own = metadata.get("namespace") or ""
        if own and api.namespace_asked and own != api.namespace:
            raise Failure(
                f'the namespace from the provided object "{own}" does not match the namespace "{api.namespace}". '
                f"You must pass '--namespace={own}' to perform this operation."
            )
        namespace = own or api.namespace
    collection = api.path(resource, namespace=namespace)
    return Place(resource, namespace, name, collection, api.path(resource, name, namespace=namespace))
