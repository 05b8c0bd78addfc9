"""The labels that a kubelet may give its own node. Pure.

Source: Kubernetes documentation, "Well-Known Labels" and "NodeRestriction"; kubelet/pkg/apis (well_known_labels.go).
"""

from __future__ import annotations

from ..strategies.base import Document

_RESTRICTED = "node-restriction.kubernetes.io"
_RESERVED = ("kubernetes.io", "k8s.io")
_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)


def refused(new: Document, old: Document | None) -> list[str]:
    """The labels that differ and are not the kubelet's to set, in order."""
    labels = new["metadata"].get("labels") or {}
    before = ((old or {}).get("metadata") or {}).get("labels") or {}
    changed = {key for key in labels.keys() | before.keys() if key not in labels or labels[key] != before.get(key)}
    return sorted(key for key in changed if not _allowed(key))


def _allowed(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if _within(domain, (_RESTRICTED,)):
        return False
    return not _within(domain, _RESERVED) or key in _LABELS or _within(domain, _DOMAINS)


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)
