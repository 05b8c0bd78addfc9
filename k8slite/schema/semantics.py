"""Which fields must be set: what OpenAPI calls required, and what Kubernetes refuses to do without, are not the same.

OpenAPI marks a field required when Go always writes it; an absent number or boolean then simply is zero. Kubernetes'
validation is by hand. The rule here is the part of it that holds for every kind: a required string, list, map or
structure must be there and must not be empty. The exceptions are listed. Statuses are not looked at.

Of lists and maps that are not required, empty ones are none: writing one where there was none changes nothing.

Source: Kubernetes' validation packages (pkg/apis/*/validation).
"""

from __future__ import annotations

from .facts import FieldFacts, TypeFacts

#: Required by OpenAPI, optional to the API server: structure name and field.
_OPTIONAL = frozenset(
    {
        ("CSIDriver", "spec"),
        ("CSINodeSpec", "drivers"),
        ("Condition", "message"),
        ("Condition", "lastTransitionTime"),
        ("Condition", "reason"),
        ("ControllerRevision", "data"),
        ("Event", "metadata"),
        ("HTTPHeader", "value"),
        ("LimitRangeSpec", "limits"),
        ("LocalSubjectAccessReview", "spec"),
        ("MatchCondition", "expression"),
        ("PreferredSchedulingTerm", "preference"),
        ("SelfSubjectRulesReview", "spec"),
        ("Sysctl", "value"),
        ("TokenRequest", "audience"),
        ("TokenRequestSpec", "audiences"),
        ("TokenReviewSpec", "token"),
        ("VolumeAttachmentSpec", "source"),
        ("WatchEvent", "object"),
    }
)
#: Numbers that may not be left out although zero cannot be told from absent.
_NUMBERS = frozenset({("ContainerPort", "containerPort")})


def is_demanded(facts: TypeFacts, field: FieldFacts) -> bool:
    """Whether a document without that field is invalid."""
    if not field.required:
        return False
    place = (facts.struct, field.name)
    if place in _OPTIONAL:
        return False
    if field.shape or field.type is not None:
        return not facts.struct.endswith("List")
    return field.scalar not in ("boolean", "int32", "int64", "double") or place in _NUMBERS


def may_vanish(field: FieldFacts) -> bool:
    """Whether an empty list or map is as good as none, and not kept: Go leaves it out unless the field is required."""
    return bool(field.shape) and not field.required
