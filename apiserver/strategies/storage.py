"""`storage.k8s.io`.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..defaults import storage as defaults
from ..validation import storage as rules
from .base import Strategy
from .simple import SimpleStrategy

_GROUP = "storage.k8s.io"

STRATEGIES: dict[tuple[str, str], Strategy] = {
    (_GROUP, "storageclasses"): SimpleStrategy(
        default=defaults.storageclass, validate=rules.storage_class, validate_update=rules.storage_class_update
    ),
    (_GROUP, "csidrivers"): SimpleStrategy(
        default=defaults.csidriver,
        validate=rules.csi_driver,
        validate_update=rules.csi_driver_update,
        generation=True,
        unconditional_update=False,
    ),
    (_GROUP, "csinodes"): SimpleStrategy(
        validate=rules.csi_node, validate_update=rules.csi_node_update, unconditional_update=False
    ),
    (_GROUP, "csistoragecapacities"): SimpleStrategy(
        validate=rules.storage_capacity, validate_update=rules.storage_capacity_update, unconditional_update=False
    ),
    (_GROUP, "volumeattachments"): SimpleStrategy(
        validate=rules.volume_attachment,
        validate_update=rules.volume_attachment_update,
        initial_status={"attached": False},
        unconditional_update=False,
    ),
    (_GROUP, "volumeattributesclasses"): SimpleStrategy(
        validate=rules.attributes_class, validate_update=rules.attributes_class_update
    ),
}
