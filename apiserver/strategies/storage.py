"""`storage.k8s.io`.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause, forbidden_field

from ..defaults import storage as defaults
from .base import Document, Strategy
from .simple import SimpleStrategy


def _storage_class_update(new: Document, old: Document) -> list[Cause]:
    causes = []
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if new.get(name) != old.get(name):
            causes.append(forbidden_field(name, f"updates to {name} are forbidden."))
    return causes


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("storage.k8s.io", "storageclasses"): SimpleStrategy(
        default=defaults.storageclass, validate_update=_storage_class_update
    ),
    ("storage.k8s.io", "csidrivers"): SimpleStrategy(
        default=defaults.csidriver, generation=True, unconditional_update=False
    ),
    ("storage.k8s.io", "volumeattachments"): SimpleStrategy(initial_status={"attached": False}),
}
