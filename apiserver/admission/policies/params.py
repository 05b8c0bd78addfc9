"""The parameters of a binding: objects of the kind that the policy names, one by its name or some by their labels.

Source: Kubernetes' apiserver, pkg/admission/plugin/policy/generic/policy_dispatcher.go (CollectParams).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from k8slite.catalogue import Resource
from k8slite.errors import ApiError
from k8slite.selectors import EVERYTHING, from_object

from ... import documents
from ...registry import Registry, Served
from ...strategies.base import Document
from ..base import Admission
from ..matching import namespace_of
from .configured import Binding

_NO_PARAMETER: Sequence[Document | None] = (None,)


class ParamError(Exception):
    """Why a binding cannot be used for a request; said by the policy (`binding` false) or by the binding."""

    def __init__(self, detail: str, *, binding: bool = True) -> None:
        super().__init__(detail)
        self.binding = binding


def kind_behind(registry: Registry, kind: Mapping[str, str] | None) -> Resource | None:
    """The resource of a policy's `paramKind`; None without one. Raises ParamError for a kind that is not served."""
    if kind is None:
        return None
    group, _, version = (kind.get("apiVersion") or "").rpartition("/")
    resource = registry.catalogue.by_kind(group, version, kind.get("kind") or "")
    if resource is None:
        shown = f"{group}/{version}, Kind={kind.get('kind') or ''}"
        raise ParamError(f"failed to find resource referenced by paramKind: '{shown}'", binding=False)
    return resource


async def collect(
    registry: Registry, admission: Admission, *, resource: Resource | None, binding: Binding
) -> Sequence[Document | None]:
    """The objects with which a policy is to be evaluated, each of them; None stands for no parameter.

    Empty if there are none and that is allowed. Raises ParamError.
    """
    reference = binding.param_ref
    if resource is None or reference is None:
        return _NO_PARAMETER
    namespace = _namespace(admission, resource, reference.get("namespace") or "")
    served, name = registry.find(*resource.key), reference.get("name") or ""
    if name:
        found = await _named(registry, served, namespace, name)
    else:
        selector = from_object(reference.get("selector")) or EVERYTHING
        entries = served.cache.select(namespace=namespace)
        selected = [documents.decode(entry.value) for entry in entries if selector.matches(entry.labels)]
        found = await served.present(selected)
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise ParamError("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found


def _namespace(admission: Admission, resource: Resource, wanted: str) -> str:
    if not resource.namespaced:
        if wanted:
            raise ParamError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        return ""
    namespace = wanted or namespace_of(admission)
    if not namespace:
        raise ParamError("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    return namespace


async def _named(registry: Registry, served: Served, namespace: str, name: str) -> list[Any]:
    entry = served.cache.get(namespace, name)
    if entry is not None:
        value = entry.value
    else:
        # It may have been made a moment ago, by way of another server.
        try:
            value = (await registry.read(served, namespace, name)).value
        except ApiError as error:
            if error.code != 404:
                raise ParamError(error.message) from error
            return []
    return await served.present([documents.decode(value)])
