"""The audit log of a cluster: its policy, which `up` writes once and the user may change, and its files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from k8slite.config import AuditConfig, AuditLogConfig
from k8slite.pki import write_private

from .spec import ClusterSpec


def settings(spec: ClusterSpec) -> AuditConfig:
    """What is recorded, and where; a gigabyte at most, as what is put aside shrinks to a tenth."""
    log = AuditLogConfig(path=str(log_file(spec)), max_age=30, max_backups=10, max_size=100, compress=True)
    return AuditConfig(policy_file=policy_file(spec), log=log)


def ensure_policy(spec: ClusterSpec) -> None:
    """Write the policy unless there is one."""
    path = policy_file(spec)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, default_policy().encode())


def default_policy() -> str:
    """The policy of a new cluster, as shipped."""
    return (resources.files(__package__) / "audit-policy.yaml").read_text()


def policy_file(spec: ClusterSpec) -> Path:
    """Where the policy stands."""
    return spec.directory / "audit" / "policy.yaml"


def log_file(spec: ClusterSpec) -> Path:
    """Where events go."""
    return spec.directory / "audit" / "audit.log"
