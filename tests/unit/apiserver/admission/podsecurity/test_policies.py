"""Labels of a namespace, and the administrator's configuration: which policy they make, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from k8slite.apiserver.admission import configuration
from k8slite.apiserver.admission.podsecurity.configuration import Settings, read
from k8slite.apiserver.admission.podsecurity.levels import PREFIX, Policy, Standard, is_relaxed, policy_of
from k8slite.config import ConfigError

FREE, BASELINE, RESTRICTED = Standard(), Standard("baseline"), Standard("restricted")
OLD = Standard("baseline", 30)


def labels(**given: str) -> dict[str, str]:
    return {PREFIX + name.replace("_", "-"): value for name, value in given.items()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Policy()),
        ({"enforce": "baseline"}, Policy(BASELINE, FREE, BASELINE)),
        ({"enforce": "baseline", "warn": "privileged"}, Policy(BASELINE, FREE, FREE)),
        ({"enforce": "baseline", "warn_version": "v1.5"}, Policy(BASELINE, FREE, Standard("baseline", 5))),
        ({"enforce": "baseline", "enforce_version": "v1.30"}, Policy(OLD, FREE, OLD)),
        ({"audit": "restricted", "audit_version": "latest"}, Policy(FREE, RESTRICTED, FREE)),
        ({"enforce_version": "v1.0"}, Policy(Standard("privileged", 0), FREE, FREE)),
    ],
)
def test_labels_make_a_policy(given: dict[str, str], expected: Policy) -> None:
    policy, causes = policy_of(labels(**given), Policy())
    assert (policy, causes) == (expected, [])


def test_warnings_follow_what_is_enforced_unless_they_are_stricter() -> None:
    stricter = Policy(FREE, FREE, RESTRICTED)
    assert policy_of(labels(enforce="baseline"), stricter)[0].warn == RESTRICTED
    found, _ = policy_of(labels(enforce="restricted", enforce_version="v1.20"), Policy())
    assert found.warn == Standard("restricted", 20)


NO_VERSIONS = ["", "v1", "1.5", "v1.05", "v1.x", "v2.0", "v1.5 ", "v1.5\n", "Latest", "v1." + "9" * 40]


@pytest.mark.parametrize("text", NO_VERSIONS)
def test_a_version_that_is_none_is_the_latest_and_an_error(text: str) -> None:
    policy, causes = policy_of(labels(enforce="baseline", enforce_version=text), Policy(Standard("baseline", 3)))
    assert policy.enforce == BASELINE
    assert [cause.field for cause in causes] == ["metadata.labels[pod-security.kubernetes.io/enforce-version]"]
    assert causes[0].message.endswith('must be "latest" or "v1.x"')


def test_a_level_that_is_none_is_the_strictest_to_enforce_and_none_to_warn_of() -> None:
    policy, causes = policy_of(labels(enforce="Baseline", audit="x", warn="y"), Policy())
    assert policy == Policy(RESTRICTED, FREE, FREE)
    assert [str(cause) for cause in causes] == [
        f'metadata.labels[pod-security.kubernetes.io/{mode}]: Invalid value: "{value}": must be one of privileged, '
        "baseline, restricted"
        for mode, value in (("enforce", "Baseline"), ("audit", "x"), ("warn", "y"))
    ]


@pytest.mark.parametrize(
    ("new", "old", "relaxed"),
    [
        (BASELINE, BASELINE, True),
        (BASELINE, RESTRICTED, True),
        (FREE, Standard("restricted", 3), True),
        (RESTRICTED, BASELINE, False),
        (BASELINE, FREE, False),
        (Standard("baseline", 5), RESTRICTED, False),
    ],
)
def test_pods_are_looked_at_when_something_might_be_refused_that_was_not(
    new: Standard, old: Standard, relaxed: bool
) -> None:
    assert is_relaxed(new, old) is relaxed


def configured(tmp_path: Path, **content: Any) -> Settings:
    own = {"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration", **content}
    path = tmp_path / "admission.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "AdmissionConfiguration",
                "plugins": [{"name": "PodSecurity", "configuration": own}],
            }
        )
    )
    return read(configuration.read(path))


def test_without_a_configuration_everything_is_privileged_and_nobody_exempt() -> None:
    assert read(configuration.read(None)) == Settings()


def test_defaults_and_exemptions_are_read(tmp_path: Path) -> None:
    found = configured(
        tmp_path,
        defaults={"enforce": "baseline", "enforce-version": "v1.30", "warn": "restricted"},
        exemptions={"usernames": ["alice"], "namespaces": ["kube-system"], "runtimeClasses": ["kata"]},
    )
    assert found == Settings(
        Policy(Standard("baseline", 30), FREE, RESTRICTED),
        frozenset({"kube-system"}),
        frozenset({"alice"}),
        frozenset({"kata"}),
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"kind": "Other"}, "no PodSecurityConfiguration"),
        ({"apiVersion": "v2"}, "no PodSecurityConfiguration"),
        ({"default": {}}, "default: unknown field"),
        ({"defaults": {"enforceVersion": "v1.1"}}, "defaults.enforceVersion: unknown field"),
        ({"defaults": {"enforce": "strict"}}, "defaults.enforce: must be one of privileged, baseline, restricted"),
        ({"defaults": {"warn-version": "1.2"}}, 'defaults.warn-version: must be "latest" or "v1.x"'),
        ({"defaults": []}, None),
        ({"defaults": ["x"]}, "defaults: must be a mapping"),
        ({"exemptions": {"namespaces": ["A"]}}, r"exemptions.namespaces\[0\]: a lowercase RFC 1123 label"),
        ({"exemptions": {"usernames": ["a", ""]}}, r"exemptions.usernames\[1\]: username must not be empty"),
        ({"exemptions": {"runtimeClasses": ["a", "a"]}}, r'exemptions.runtimeClasses\[1\]: Duplicate value: "a"'),
        ({"exemptions": {"usernames": "alice"}}, "exemptions.usernames: must be a list of strings"),
    ],
)
def test_a_wrong_configuration_stops_the_server(tmp_path: Path, content: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        assert configured(tmp_path, **content) == Settings()
        return
    with pytest.raises(ConfigError, match=problem):
        configured(tmp_path, **content)
