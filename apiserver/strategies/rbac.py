"""`rbac.authorization.k8s.io`: roles and bindings.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import rbac as defaults
from ..validation import names
from ..validation.rbac import cluster_role_binding, role_ref_immutable
from .base import Strategy
from .simple import SimpleStrategy

_RBAC = "rbac.authorization.k8s.io"


_BINDING = SimpleStrategy(
    default=defaults.rolebinding,
    validate=cluster_role_binding,
    validate_update=role_ref_immutable,
    name_rule=names.path_segment,
    create_on_update=True,
)
_ROLE = SimpleStrategy(name_rule=names.path_segment, create_on_update=True)

STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_RBAC, "roles"): _ROLE,
    (_RBAC, "clusterroles"): _ROLE,
    (_RBAC, "rolebindings"): _BINDING,
    (_RBAC, "clusterrolebindings"): _BINDING,
}
