"""Which plugins run, in Kubernetes' order."""

from __future__ import annotations

from ..authz.base import Authorizer
from ..authz.rbac import RBAC
from ..lookup import Objects, lookup_in
from .base import Plugin
from .lifecycle import NamespaceLifecycle
from .node_restriction import NodeRestriction
from .priority import Priority
from .rbac_escalation import RbacEscalation
from .serviceaccount import ServiceAccount
from .tolerations import DefaultTolerationSeconds


def build(objects: Objects, *, rbac: RBAC, authorizer: Authorizer) -> list[Plugin]:
    """The plugins of a server over the watch cache."""
    return [
        NamespaceLifecycle(objects),
        ServiceAccount(lookup_in(objects)),
        NodeRestriction(),
        Priority(objects),
        DefaultTolerationSeconds(),
        RbacEscalation(rbac=rbac, authorizer=authorizer),
    ]
