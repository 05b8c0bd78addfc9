"""Which fields a field selector may name: those of the kind's strategy, by the names that each version gives them.

Source: Kubernetes' apis/*/conversion.go (AddFieldLabelConversionFunc), for the names and for the words of each refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from k8slite.catalogue import Resource
from k8slite.errors import ApiError, bad_request
from k8slite.selectors import FieldSelector

from ..registry import Served, field_of

_NAME = "metadata.name"
_NAMESPACE = "metadata.namespace"
_OBJECT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

_OWN_NAMES: dict[tuple[str, str, str], Mapping[str, str]] = {
    ("events.k8s.io", "v1", "events"): {
        **{f"regarding.{name}": f"involvedObject.{name}" for name in _OBJECT},
        "reason": "reason",
        "reportingController": "reportingComponent",
        "type": "type",
    },
}
"""Versions whose names for the fields differ from the stored version's: theirs → the stored ones."""
_OLD_NAMES: dict[tuple[str, str, str], Mapping[str, str]] = {
    ("", "v1", "pods"): {"spec.host": "spec.nodeName", "status.podIPs": "status.podIP"},
}
"""Names that are understood besides the usual ones."""
_REFUSALS = {
    ("batch", "jobs"): 'field label "{field}" not supported for Job',
    ("resource.k8s.io", "resourceslices"): "field label not supported for {group}/{version}, Kind={kind}: {field}",
}
_REFUSAL = "field label not supported: {field}"
_ASKED = _REFUSAL + " in a version that a conversion webhook makes; select in {stored}, which is stored"
_PLAIN_REFUSAL = '"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def selectable(served: Served, selector: FieldSelector) -> FieldSelector:
    """The selector in the names of the strategy. Raises ApiError 400 for a field that cannot be selected."""
    if not selector:
        return selector
    key, fields = served.resource.key, served.strategy.selectable_fields
    own, old = _OWN_NAMES.get(key), _OLD_NAMES.get(key, {})
    requirements = []
    for requirement in selector.requirements:
        name = requirement.field
        if name == _NAME or (name == _NAMESPACE and (served.resource.namespaced or not fields)):
            found: str | None = name
        elif own is not None:
            found = own.get(name)
        elif served.converter is not None:
            found = field_of(served.resource, name) if name in fields else None
            if found and served.converts and not served.instant:
                raise bad_request(_ASKED.format(field=name, stored=served.stored.api_version))
        else:
            found = name if name in fields else old.get(name)
        if found is None:
            raise _refusal(served.resource, name, plain=not fields and served.converter is None)
        requirements.append(requirement if found == name else replace(requirement, field=found))
    return FieldSelector(tuple(requirements))


def of_one(selector: FieldSelector, name: str) -> None:
    """Refuse a selector that contradicts a name in the path. Raises ApiError 400."""
    if name and selector and selector.value_of(_NAME) != name:
        raise bad_request("fieldSelector metadata.name doesn't match requested name")


def _refusal(resource: Resource, field: str, *, plain: bool) -> ApiError:
    words = _PLAIN_REFUSAL if plain else _REFUSALS.get((resource.group, resource.plural), _REFUSAL)
    return bad_request(words.format(field=field, group=resource.group, version=resource.version, kind=resource.kind))
