"""`rbac.authorization.k8s.io`: roles and bindings.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import rbac as defaults
from ..validation import names
from ..validation import rbac as rules
from .base import Strategy
from .simple import SimpleStrategy

_RBAC = "rbac.authorization.k8s.io"
_ROLES = {"roles": rules.role, "clusterroles": rules.cluster_role}
_BINDINGS = {"rolebindings": rules.role_binding, "clusterrolebindings": rules.cluster_role_binding}

STRATEGIES: dict[tuple[str, str], Strategy] = {
    **{
        (_RBAC, plural): SimpleStrategy(validate=validate, name_rule=names.path_segment, create_on_update=True)
        for plural, validate in _ROLES.items()
    },
    **{
        (_RBAC, plural): SimpleStrategy(
            default=defaults.rolebinding,
            validate=validate,
            validate_update=rules.role_ref_immutable,
            name_rule=names.path_segment,
            create_on_update=True,
        )
        for plural, validate in _BINDINGS.items()
    },
}
