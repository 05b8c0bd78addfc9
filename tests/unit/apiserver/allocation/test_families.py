from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.allocation.families import settle

FOUR, SIX, BOTH = ["IPv4"], ["IPv6"], ["IPv4", "IPv6"]
HEADLESS: dict[str, Any] = {"clusterIP": "None", "clusterIPs": ["None"]}


def settled(
    spec: dict[str, Any], *, old: dict[str, Any] | None = None, configured: list[str] = BOTH
) -> tuple[Any, ...]:
    made = {"type": "ClusterIP", "selector": {"a": "b"}, **spec}
    causes = settle(made, old, configured=configured)
    assert not causes, [cause.message for cause in causes]
    return made.get("ipFamilyPolicy"), made.get("ipFamilies")


@pytest.mark.parametrize(
    ("spec", "configured", "expected"),
    [
        ({}, BOTH, ("SingleStack", FOUR)),
        ({}, ["IPv6", "IPv4"], ("SingleStack", SIX)),
        ({"ipFamilyPolicy": "PreferDualStack"}, BOTH, ("PreferDualStack", BOTH)),
        ({"ipFamilyPolicy": "PreferDualStack"}, FOUR, ("PreferDualStack", FOUR)),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": SIX}, BOTH, ("RequireDualStack", ["IPv6", "IPv4"])),
        ({"ipFamilies": SIX}, BOTH, ("SingleStack", SIX)),
        ({"clusterIP": "fd00::7"}, BOTH, ("SingleStack", SIX)),
        (HEADLESS, FOUR, ("SingleStack", FOUR)),
        ({**HEADLESS, "selector": None}, FOUR, ("RequireDualStack", BOTH)),
        ({**HEADLESS, "selector": None, "ipFamilyPolicy": "SingleStack"}, BOTH, ("SingleStack", FOUR)),
        ({**HEADLESS, "selector": None, "ipFamilies": SIX}, FOUR, ("RequireDualStack", ["IPv6", "IPv4"])),
    ],
)
def test_what_is_left_open(spec: dict[str, Any], configured: list[str], expected: tuple[Any, ...]) -> None:
    assert settled(spec, configured=configured) == expected


OLD_BOTH = {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": BOTH}


@pytest.mark.parametrize(
    ("spec", "old", "expected"),
    [
        (OLD_BOTH | {"ipFamilyPolicy": "SingleStack"}, OLD_BOTH | {"ipFamilyPolicy": "RequireDualStack"}, FOUR),
        (OLD_BOTH, OLD_BOTH | {"ipFamilyPolicy": "PreferDualStack"}, BOTH),
        (
            {"clusterIP": "10.0.0.1", "ipFamilies": FOUR, "ipFamilyPolicy": "PreferDualStack"},
            {"clusterIPs": ["10.0.0.1"], "ipFamilies": FOUR, "ipFamilyPolicy": "SingleStack"},
            BOTH,
        ),
        (
            {
                "clusterIPs": ["10.0.0.1"],
                "clusterIP": "10.0.0.1",
                "ipFamilies": FOUR,
                "ipFamilyPolicy": "PreferDualStack",
            },
            {"clusterIPs": ["10.0.0.1"], "ipFamilies": FOUR, "ipFamilyPolicy": "PreferDualStack"},
            FOUR,
        ),
    ],
)
def test_changes(spec: dict[str, Any], old: dict[str, Any], expected: list[str]) -> None:
    assert settled(spec, old=old)[1] == expected


@pytest.mark.parametrize(
    ("spec", "old", "configured", "words"),
    [
        ({"ipFamilies": SIX}, None, FOUR, "not configured on this cluster"),
        ({"clusterIP": "fd00::7"}, None, FOUR, "IPv6 is not configured on this cluster"),
        ({"ipFamilyPolicy": "RequireDualStack"}, None, FOUR, "this cluster is not configured for dual-stack services"),
        ({"ipFamilyPolicy": "SingleStack", "ipFamilies": BOTH}, None, BOTH, "when multiple IP families are specified"),
        ({"ipFamilies": BOTH}, None, BOTH, "must be 'RequireDualStack' or 'PreferDualStack'"),
        (
            OLD_BOTH | {"clusterIPs": ["10.0.0.1"], "ipFamilyPolicy": "RequireDualStack"},
            OLD_BOTH | {"ipFamilyPolicy": "RequireDualStack"},
            BOTH,
            "must be 'SingleStack' to release the secondary cluster IP",
        ),
    ],
)
def test_refusals(spec: dict[str, Any], old: dict[str, Any] | None, configured: list[str], words: str) -> None:
    causes = settle({"type": "ClusterIP", "selector": {"a": "b"}, **spec}, old, configured=configured)
    assert any(words in cause.message for cause in causes), causes
