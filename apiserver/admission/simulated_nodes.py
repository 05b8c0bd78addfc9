"""What whoever plays simulated nodes may write: those nodes, their Leases, and the pods that are bound to them.

RBAC cannot say so: it knows names, and these are thousands. A simulator's stolen certificate makes nodes that do not
exist; it does not reach real ones, nor what runs there.
"""

from __future__ import annotations

from ..strategies.base import Document
from .base import Admission
from .node_pods import name_of, refused

GROUP = "k8slite:simulators"
#: What simulated nodes are told by.
LABEL = "k8slite.io/simulator"


def check(admission: Admission) -> None:
    """Raise ApiError 403 for what is about a node that is not simulated."""
    match admission.resource.plural:
        case "nodes":
            if not all(_is_simulated(node) for node in (admission.old, admission.object) if node is not None):
                raise refused(admission, f"a simulator may only write nodes with the label {LABEL}")
        case "pods":
            pod = admission.old or admission.object or {}
            if not _is_simulated(_node(admission, (pod.get("spec") or {}).get("nodeName") or "")):
                raise refused(admission, "a simulator may only write pods that are bound to simulated nodes")
        case "leases":
            if not _is_simulated(_node(admission, name_of(admission))):
                raise refused(admission, "a simulator may only write Leases of simulated nodes")


def _node(admission: Admission, name: str) -> Document | None:
    return admission.context.lookup("", "nodes", "", name) if name else None


def _is_simulated(node: Document | None) -> bool:
    return node is not None and LABEL in (node["metadata"].get("labels") or {})
