"""What no update may change."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.validation import (
    certificates,
    device_claims,
    device_slices,
    discovery,
    ingresses,
    networking,
    node,
    rbac,
    scheduling,
    storage,
)
from k8slite.testing.causes import assert_causes, changed

from .tables import META

IMMUTABLE = "field is immutable"


@pytest.mark.parametrize(
    ("rule", "field", "reason", "words"),
    [
        (networking.service_cidr_update, "spec.cidrs", "invalid", IMMUTABLE),
        (networking.ip_address_update, "spec.parentRef", "invalid", IMMUTABLE),
        (ingresses.ingress_class_update, "spec.controller", "invalid", IMMUTABLE),
        (node.runtime_class_update, "handler", "invalid", IMMUTABLE),
        (discovery.endpoint_slice_update, "addressType", "invalid", IMMUTABLE),
        (scheduling.priority_class_update, "value", "forbidden", "may not be changed in an update."),
        (scheduling.priority_class_update, "preemptionPolicy", "invalid", IMMUTABLE),
        (storage.storage_class_update, "parameters", "forbidden", "updates to parameters are forbidden."),
        (storage.storage_class_update, "provisioner", "forbidden", "updates to provisioner are forbidden."),
        (storage.storage_class_update, "volumeBindingMode", "invalid", IMMUTABLE),
        (storage.attributes_class_update, "driverName", "forbidden", "updates to driverName are forbidden."),
        (storage.volume_attachment_update, "spec", "invalid", IMMUTABLE),
        (storage.storage_capacity_update, "storageClassName", "invalid", IMMUTABLE),
        (rbac.role_ref_immutable, "roleRef", "invalid", "cannot change roleRef"),
        (device_claims.resource_claim_update, "spec", "invalid", IMMUTABLE),
        (device_claims.resource_claim_template_update, "spec", "invalid", IMMUTABLE),
        (device_slices.resource_slice_update, "spec.driver", "invalid", IMMUTABLE),
        (certificates.trust_bundle_update, "spec.signerName", "invalid", IMMUTABLE),
    ],
)
def test_what_is_for_ever(rule: Any, field: str, reason: str, words: str) -> None:
    old, new = changed(META, {field: {"a": 1}}), changed(META, {field: {"a": 2}})
    assert rule(old, old) == []
    assert_causes(rule(new, old), [(reason, field, words)])
