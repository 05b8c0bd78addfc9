"""Claims, classes, slices and taints of devices: good ones, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from k8slite.apiserver.validation import device_claims, device_slices
from k8slite.testing.causes import Expected, assert_causes, changed

from .tables import META, Document, Row, Rule, cases

DEVICE = {"name": "gpu-0", "attributes": {"model": {"string": "a"}}}

GOOD: dict[str, tuple[Rule, Document]] = {
    "claim": (
        device_claims.resource_claim,
        {
            "spec": {
                "devices": {
                    "requests": [
                        {
                            "name": "gpu",
                            "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1},
                        }
                    ]
                }
            }
        },
    ),
    "deviceclass": (device_claims.device_class, {"spec": {"selectors": [{"cel": {"expression": "true"}}]}}),
    "slice": (
        device_slices.resource_slice,
        {
            "spec": {
                "driver": "d.example.com",
                "nodeName": "n",
                "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
                "devices": [DEVICE],
            }
        },
    ),
    "taintrule": (device_slices.device_taint_rule, {"spec": {"taint": {"key": "a", "effect": "NoSchedule"}}}),
}

TABLE: dict[str, list[Row]] = {
    "claim": [
        (
            {"spec.devices.requests.0": {"name": "gpu"}, "spec.devices.constraints": [{"requests": ["cpu"]}]},
            [
                ("required", "spec.devices.requests[0]", "exactly one of `exactly` or `firstAvailable` is required"),
                ("invalid", "spec.devices.constraints[0].requests[0]", "must be the name of a request in the claim"),
                ("required", "spec.devices.constraints[0].matchAttribute", ""),
            ],
        ),
        (
            {"spec.devices.requests.0.exactly": {"allocationMode": "All", "count": 2, "tolerations": [{"key": "a"}]}},
            [
                ("required", "spec.devices.requests[0].exactly.deviceClassName", ""),
                ("invalid", "spec.devices.requests[0].exactly.count", "must not be specified when allocationMode is"),
                ("required", "spec.devices.requests[0].exactly.tolerations[0].operator", ""),
            ],
        ),
        (
            {"spec.devices.requests": [{"name": "gpu"}] * 33},
            [("many", "spec.devices.requests", "Too many: 33: must have at most 32 items")],
        ),
    ],
    "deviceclass": [
        (
            {
                "spec.selectors": [
                    {"cel": {"expression": text}}
                    for text in (
                        "device.driver == 'x' && 'x' in device.attributes",
                        "device.attributes['d'].ready",
                        "cel.bind(a, device.attributes['d'], a.model != '' && a.version.isLessThan(semver('1.0.0')))",
                        "device.capacity['d'].memory.compareTo(quantity('1Gi')) >= 0",
                        "!device.allowMultipleAllocations",
                        "1",
                        "?!",
                        "device.nope == 1",
                        "object.x == 1",
                    )
                ]
            },
            [
                (
                    "invalid",
                    "spec.selectors[5].cel.expression",
                    "must evaluate to bool or the unknown type, not int",
                ),
                ("invalid", "spec.selectors[6].cel.expression", "compilation failed: ERROR: <input>:1:1: Syntax error"),
                ("invalid", "spec.selectors[7].cel.expression", "undefined field 'nope'"),
                ("invalid", "spec.selectors[8].cel.expression", "undeclared reference to 'object'"),
            ],
        ),
        (
            {"spec.selectors": [{}], "spec.extendedResourceName": "gpu"},
            [
                ("required", "spec.selectors[0].cel", ""),
                ("invalid", "spec.extendedResourceName", "must be a valid extended resource name"),
            ],
        ),
    ],
    "slice": [
        (
            {"spec.allNodes": True, "spec.pool.resourceSliceCount": 0, "spec.devices": [DEVICE, DEVICE]},
            [
                ("invalid", "spec.pool.resourceSliceCount", "must be greater than zero"),
                ("invalid", "spec", "`perDeviceNodeSelection` is required, but multiple fields are set"),
                ("duplicate", "spec.devices[1]", '"gpu-0"'),
            ],
        ),
        (
            {"spec.devices.0": {"name": "A", "attributes": {"1a": {}}, "taints": [{"key": "a"}], "nodeName": "n"}},
            [
                ("invalid", "spec.devices[0].name", "a lowercase RFC 1123 label"),
                ("invalid", "spec.devices[0].attributes[1a]", "a valid C identifier must start with"),
                ("invalid", "spec.devices[0].attributes[1a]", "exactly one value must be specified"),
                ("required", "spec.devices[0].taints[0].effect", ""),
                ("invalid", "spec.devices[0]", "can only be set if `perDeviceNodeSelection` is set to true"),
            ],
        ),
    ],
    "taintrule": [
        (
            {"spec.taint.effect": "Any", "spec.deviceSelector": {"driver": "A B"}},
            [
                ("invalid", "spec.deviceSelector.driver", "a lowercase RFC 1123 subdomain"),
                ("unsupported", "spec.taint.effect", '"NoExecute", "NoSchedule"'),
            ],
        )
    ],
}


@pytest.mark.parametrize("kind", GOOD)
def test_good(kind: str) -> None:
    rule, document = GOOD[kind]
    assert rule({**META, **document}) == []


@pytest.mark.parametrize(("kind", "change", "expected"), cases(TABLE))
def test_wrong(kind: str, change: Document, expected: list[Expected]) -> None:
    rule, document = GOOD[kind]
    assert_causes(rule(changed({**META, **document}, change)), expected)
