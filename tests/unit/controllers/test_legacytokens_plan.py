"""Tokens in Secrets that nobody uses: kept, marked, removed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from k8slite.controllers.legacytokens.plan import INVALID_SINCE, LAST_USED, Decision, observed, plan, secrets_named
from k8slite.kinds.core import Secret, ServiceAccount

TODAY = date(2026, 6, 1)
YEAR = timedelta(days=365)


def secret(*, made: str = "2024-01-01", **labels: str) -> Secret:
    metadata = {"name": "old", "namespace": "default", "labels": labels, "creationTimestamp": f"{made}T12:00:00Z"}
    return Secret.model_validate({"metadata": metadata, "type": "kubernetes.io/service-account-token"})


def account(*names: str) -> ServiceAccount:
    return ServiceAccount.model_validate({"metadata": {"name": "a"}, "secrets": [{"name": name} for name in names]})


@pytest.mark.parametrize(
    ("found", "decision"),
    [
        (secret(), Decision.MARK),
        (secret(made="2025-06-01"), Decision.KEEP),
        (secret(made="2025-05-31"), Decision.MARK),
        (secret(**{LAST_USED: "2025-06-01"}), Decision.KEEP),
        (secret(**{LAST_USED: "2025-05-31"}), Decision.MARK),
        (secret(**{LAST_USED: "yesterday"}), Decision.KEEP),
        (secret(**{INVALID_SINCE: "2025-06-01"}), Decision.KEEP),
        (secret(**{INVALID_SINCE: "2025-05-31"}), Decision.DELETE),
        (secret(**{INVALID_SINCE: "2025-05-31", LAST_USED: "2026-05-31"}), Decision.KEEP),
        (secret(**{INVALID_SINCE: "once"}), Decision.MARK),
        (secret(**{INVALID_SINCE: "20250531"}), Decision.MARK),
    ],
)
def test_a_token_that_was_made_by_itself(found: Secret, decision: Decision) -> None:
    assert plan(found, account("old"), today=TODAY, period=YEAR) is decision


def test_a_token_that_was_asked_for_is_kept() -> None:
    assert plan(secret(), account("another"), today=TODAY, period=YEAR) is Decision.KEEP
    assert plan(secret(), None, today=TODAY, period=YEAR) is Decision.KEEP


@pytest.mark.parametrize(
    ("since", "long_enough"), [("2025-05-31", True), ("2025-06-01", False), ("", False), ("never", False)]
)
def test_uses_must_have_been_noted_for_long_enough(since: str, long_enough: bool) -> None:
    assert observed(since, today=TODAY, period=YEAR) is long_enough


def test_a_token_of_an_earlier_account_of_that_name_is_left_to_others() -> None:
    annotations = {"kubernetes.io/service-account.uid": "earlier"}
    metadata = {"name": "old", "annotations": annotations, "creationTimestamp": "2024-01-01T00:00:00Z"}
    found = Secret.model_validate({"metadata": metadata})
    assert plan(found, account("old"), today=TODAY, period=YEAR) is Decision.KEEP


def test_every_way_to_name_a_secret() -> None:
    environment = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "one", "key": "k"}}}]
    spec = {
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"disk": "ssd"},
        "initContainers": [{"envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "no"}}]}],
        "containers": [{"name": "c", "env": environment}],
        "volumes": [
            {"name": "v", "secret": {"secretName": "mounted"}},
            {"name": "p", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "no"}}]}},
            {"name": "x", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi"}}},
            {"name": "a", "azureFile": {"secretName": "azure", "shareName": "s"}},
        ],
    }
    assert sorted(secrets_named(spec)) == ["all", "azure", "csi", "mounted", "one", "part", "pull"]
