"""Workloads: Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, ControllerRevision.

Source: Kubernetes' registry/apps/*/strategy.go.
"""

from __future__ import annotations

from ..defaults import apps as defaults
from ..validation import apps as rules
from ..validation.pod_warnings import template_warnings, workload_warnings
from .base import Document, Strategy
from .simple import SimpleStrategy, field, number

_EMPTY: Document = {}


class DeploymentStrategy(SimpleStrategy):
    """A Deployment's annotations count as its spec does: `kubectl rollout` speaks through them."""

    def generation_source(self, obj: Document) -> object:
        """What a change of must raise metadata.generation."""
        return super().generation_source(obj), obj["metadata"].get("annotations")


STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("apps", "deployments"): DeploymentStrategy(
        default=defaults.deployment,
        validate=rules.deployment,
        validate_update=rules.deployment_update,
        warn=workload_warnings,
        generation=True,
        initial_status=_EMPTY,
    ),
    ("apps", "replicasets"): SimpleStrategy(
        default=defaults.replicaset,
        validate=rules.replicaset,
        validate_update=rules.replicaset_update,
        warn=workload_warnings,
        generation=True,
        initial_status={"replicas": 0},
        fields={"status.replicas": number("status.replicas")},
    ),
    ("apps", "statefulsets"): SimpleStrategy(
        default=defaults.statefulset,
        validate=rules.statefulset,
        validate_create=rules.statefulset_create,
        validate_update=rules.statefulset_update,
        warn=template_warnings,
        generation=True,
        initial_status={"replicas": 0, "availableReplicas": 0},
    ),
    ("apps", "daemonsets"): SimpleStrategy(
        default=defaults.daemonset,
        validate=rules.daemonset,
        validate_update=rules.daemonset_update,
        warn=template_warnings,
        generation=True,
        initial_status={
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        },
    ),
    ("apps", "controllerrevisions"): SimpleStrategy(validate=rules.revision, validate_update=rules.revision_update),
    ("", "replicationcontrollers"): SimpleStrategy(
        default=defaults.replicationcontroller,
        validate=rules.replicationcontroller,
        validate_update=rules.replicationcontroller_update,
        warn=workload_warnings,
        generation=True,
        initial_status={"replicas": 0},
        propagation="Orphan",
        fields={"status.replicas": number("status.replicas"), "metadata.uid": field("metadata.uid")},
    ),
}
