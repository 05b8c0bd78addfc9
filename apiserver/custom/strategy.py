"""The strategy of a custom resource in one version.

Source: Kubernetes' apiextensions-apiserver, registry/customresource (strategy.go, status_strategy.go, validator.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from k8slite.catalogue import Resource
from k8slite.errors import Cause, invalid_value, method_not_allowed

from ..columns.base import Column
from ..strategies.base import Context, Document, ScalePaths, Strategy
from . import lists, metadata
from .defaulting import default
from .definition import Definition, Version
from .jsonpath import selectable
from .rules import Rules as CelRules
from .structural import Structural
from .validating import MISSING, Rules

_BLOCKING = (
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
)
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_LARGEST = 2**31 - 1
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


class CustomStrategy(Strategy):
    """What a schema and the subresources of its version demand. `expressions` is None if the schema has none."""

    unconditional_update = False
    status_keeps_metadata = True

    def __init__(
        self,
        definition: Definition,
        version: Version,
        *,
        schema: Structural,
        columns: tuple[Column, ...],
        expressions: CelRules | None,
        terminating: Callable[[], bool],
    ) -> None:
        self._resource: Resource = definition.resource(version)
        self._terminating = terminating
        self._status = version.status
        self._schema = schema
        self._raw = version.schema
        self._expressions = expressions
        self.columns = columns
        self.selectable_fields: Mapping[str, Callable[[Document], str]] = {
            path.removeprefix("."): selectable(path) for path in version.selectable
        }
        scale = version.scale
        if scale is not None:
            self.scale_paths = ScalePaths(
                spec_replicas=scale["specReplicasPath"].removeprefix("."),
                status_replicas=scale["statusReplicasPath"].removeprefix("."),
                selector=(scale.get("labelSelectorPath") or "").removeprefix("."),
                exact=True,
            )

    @cached_property
    def _rules(self) -> Rules:
        """Compiled when first needed: of the kinds that big operators bring, few are ever written."""
        return Rules(self._raw)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Drop a status that has an endpoint of its own, for its default if it has one.

        Raises ApiError 405 while the definition is being deleted.
        """
        if self._terminating():
            detail = "create not allowed while custom resource definition is terminating"
            raise method_not_allowed(self._resource.plural, "create", group=self._resource.group, detail=detail)
        if self._status:
            obj.pop("status", None)
            default(obj, self._schema)

    def generation_source(self, obj: Document) -> object:
        """Everything but metadata; without a status endpoint, the status is like any other field."""
        left_out = ("metadata", "status") if self._status else ("metadata",)
        return {name: value for name, value in obj.items() if name not in left_out}

    def validate(self, obj: Document) -> list[Cause]:
        """A new object."""
        causes = self._rules.check(obj) + self._scale(obj, spec=True)
        causes += metadata.validate(obj, self._schema) + lists.check(obj, self._schema)
        return causes + self._expressed(obj, None, causes)

    def validate_again(self, obj: Document, old: Document) -> list[Cause]:
        """A changed object: what did not change is not held against it."""
        causes = self._rules.check(obj, old) + self._scale(obj, spec=True)
        causes += metadata.validate(obj, self._schema) + self._repeated(obj, old)
        return causes + self._expressed(obj, old, causes)

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """A changed status is looked at alone; a changed scale changes the object."""
        if subresource != "status":
            return self.validate_again(obj, old)
        rules = self._rules.member("status")
        causes = self._scale(obj, spec=False) + self._repeated(obj, old)
        if rules is not None and "status" in obj:
            causes += rules.check(obj["status"], old.get("status", MISSING), prefix="status")
        return causes + self._expressed(obj, old, causes)

    def warn(self, obj: Document, old: Document | None) -> list[str]:
        """Finalizers whose names others may choose as well."""
        known = (old["metadata"].get("finalizers") or ()) if old is not None else ()
        warnings = []
        for name in sorted(set(obj["metadata"].get("finalizers") or ()) - {*known, *_STANDARD_FINALIZERS}):
            if "/" not in name:
                what = "name including a path (/)" if "." in name else "name"
                advice = f"prefer a domain-qualified finalizer {what} to avoid accidental conflicts with other"
                warnings.append(f'metadata.finalizers: "{name}": {advice} finalizer writers')
        return warnings

    def _repeated(self, obj: Document, old: Document) -> list[Cause]:
        """What stands twice in its list, unless something did before."""
        repeated = lists.check(obj, self._schema)
        return repeated if repeated and not lists.check(old, self._schema) else []

    def _expressed(self, obj: Document, old: Document | None, causes: list[Cause]) -> list[Cause]:
        if self._expressions is None:
            return []
        if any(cause.reason in _BLOCKING for cause in causes):
            return [invalid_value("<nil>", None, _UNCHECKED)]
        return self._expressions.check(obj, old)

    def _scale(self, obj: Document, *, spec: bool) -> list[Cause]:
        paths = self.scale_paths
        if paths is None:
            return []
        causes: list[Cause] = []
        for path in ([paths.spec_replicas] if spec else []) + [paths.status_replicas]:
            value, fault = _at(obj, path)
            if fault:
                causes.append(invalid_value(f".{path}", 0, fault))
            elif value is None:
                continue
            elif not isinstance(value, int) or isinstance(value, bool):
                fault = f".{path} accessor error: {value} is of the type {_go_type(value)}, expected int64"
                causes.append(invalid_value(f".{path}", 0, fault))
            elif value < 0:
                causes.append(invalid_value(f".{path}", value, "should be a non-negative integer"))
            elif value > _LARGEST:
                causes.append(invalid_value(f".{path}", value, f"should be less than or equal to {_LARGEST}"))
        if paths.selector:
            value, fault = _at(obj, paths.selector)
            if not fault and value is not None and not isinstance(value, str):
                fault = f".{paths.selector} accessor error: {value} is of the type {_go_type(value)}, expected string"
            if fault:
                causes.append(invalid_value(f".{paths.selector}", "", fault))
        return causes


def _at(obj: Document, path: str) -> tuple[Any, str]:
    """The value at a path, None if there is none, and what stands in the way."""
    value: Any = obj
    walked: list[str] = []
    for name in path.split("."):
        if not isinstance(value, dict):
            fault = f".{'.'.join(walked)} accessor error: {value} is of the type {_go_type(value)}"
            return None, f"{fault}, expected map[string]interface{{}}"
        walked.append(name)
        if name not in value:
            return None, ""
        value = value[name]
    return value, ""


def _go_type(value: Any) -> str:
    if value is None:
        return "<nil>"
    kinds = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}"}
    return kinds.get(type(value), "map[string]interface {}")
