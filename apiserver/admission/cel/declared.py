"""The variables of admission expressions, and their types.

Objects are `dyn`: which kind an expression meets is known only with the request. The request and the namespace have the
fields that Kubernetes shows, and no others.

Source: Kubernetes documentation, "Validating Admission Policy"; apiserver, pkg/admission/plugin/cel/compile.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...cel.environment import Environment
from ...cel.functions.authorization import AUTHORIZER, RESOURCE_CHECK
from ...cel.objects import ObjectEnvironment
from ...cel.types import BOOL, DYN, INT, STRING, DeclType, list_of, map_of

REQUEST_RESOURCE = "authorizer.requestResource"
_TIME = DeclType("timestamp", max_elements=32, min_size=21)


def _object(**fields: DeclType) -> DeclType:
    return DeclType("object", fields=fields)


_STRINGS = list_of(STRING)
_KIND = _object(group=STRING, version=STRING, kind=STRING)
_RESOURCE = _object(group=STRING, version=STRING, resource=STRING)

REQUEST = _object(
    kind=_KIND,
    resource=_RESOURCE,
    subResource=STRING,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=STRING,
    name=STRING,
    namespace=STRING,
    operation=STRING,
    userInfo=_object(username=STRING, uid=STRING, groups=_STRINGS, extra=map_of(_STRINGS)),
    dryRun=BOOL,
    options=DYN,
)

NAMESPACE = _object(
    metadata=_object(
        name=STRING,
        generateName=STRING,
        namespace=STRING,
        labels=map_of(STRING),
        annotations=map_of(STRING),
        UID=STRING,
        creationTimestamp=_TIME,
        deletionGracePeriodSeconds=INT,
        deletionTimestamp=_TIME,
        generation=INT,
        resourceVersion=STRING,
        finalizers=_STRINGS,
    ),
    spec=_object(finalizers=_STRINGS),
    status=_object(
        conditions=list_of(
            _object(status=STRING, type=STRING, lastTransitionTime=_TIME, message=STRING, reason=STRING)
        ),
        phase=STRING,
    ),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may use besides object, oldObject, request and namespaceObject.

    `variables` are those that the policy composed before; None where a policy composes none. `objects` lets it write
    objects and JSON patches. `kind` and `param_kind` are the types of objects and parameters, where they are checked.
    """

    params: bool = False
    authorizer: bool = True
    variables: Mapping[str, DeclType] | None = None
    objects: bool = False
    kind: DeclType = DYN
    param_kind: DeclType = DYN

    def with_variable(self, name: str, kind: DeclType) -> Scope:
        """The scope of what comes after a variable."""
        return replace(self, variables={**(self.variables or {}), name: kind})

    def environment(self) -> Environment:
        """What compiles expressions of this scope."""
        declared = {"object": self.kind, "oldObject": self.kind, "namespaceObject": NAMESPACE, "request": REQUEST}
        if self.params:
            declared["params"] = self.param_kind
        if self.authorizer:
            declared["authorizer"] = DeclType(AUTHORIZER)
            declared[REQUEST_RESOURCE] = DeclType(RESOURCE_CHECK)
        if self.variables is not None:
            declared["variables"] = DeclType("object", fields=self.variables)
        return ObjectEnvironment(declared) if self.objects else Environment(declared)
