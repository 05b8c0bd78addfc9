"""`apps/v1`: workloads."""

from __future__ import annotations

from typing import Any

from .base import Condition, LabelSelectorModel, Model, Object
from .core import IntOrString
from .template import RawTemplate


class ReplicaSetSpec(Model):
    """How many pods of which template."""

    replicas: int = 1
    min_ready_seconds: int = 0
    selector: LabelSelectorModel = LabelSelectorModel()
    template: RawTemplate = RawTemplate()


class ReplicaSetStatus(Model):
    """How many there are."""

    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    terminating_replicas: int | None = None
    observed_generation: int = 0
    conditions: list[Condition] = []


class ReplicaSet(Object):
    """`apps/v1.ReplicaSet`."""

    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class RollingUpdateDeployment(Model):
    """How far a rolling update may stray from the wanted count."""

    max_unavailable: IntOrString = "25%"
    max_surge: IntOrString = "25%"


class DeploymentStrategy(Model):
    """Recreate or RollingUpdate."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdateDeployment | None = None


class DeploymentSpec(Model):
    """What a Deployment rolls out."""

    replicas: int = 1
    selector: LabelSelectorModel = LabelSelectorModel()
    template: RawTemplate = RawTemplate()
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    paused: bool = False
    progress_deadline_seconds: int = 600


class DeploymentStatus(Model):
    """How far the rollout is."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    terminating_replicas: int | None = None
    conditions: list[Condition] = []
    collision_count: int = 0


class Deployment(Object):
    """`apps/v1.Deployment`."""

    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class StatefulSetOrdinals(Model):
    """What the pods' numbers begin with."""

    start: int = 0


class RollingUpdateStatefulSet(Model):
    """How many pods at the lower end keep the old template, and how many may be down for the update."""

    partition: int = 0
    max_unavailable: IntOrString = 1


class StatefulSetUpdateStrategy(Model):
    """OnDelete or RollingUpdate."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdateStatefulSet | None = None


class ClaimRetention(Model):
    """`PersistentVolumeClaimRetentionPolicy`: Retain or Delete."""

    when_deleted: str = "Retain"
    when_scaled: str = "Retain"


class StatefulSetSpec(Model):
    """Pods with numbers, and what each of them keeps. Claims are documents, which are copied as they are."""

    replicas: int = 1
    selector: LabelSelectorModel = LabelSelectorModel()
    template: RawTemplate = RawTemplate()
    volume_claim_templates: list[dict[str, Any]] = []
    service_name: str = ""
    pod_management_policy: str = "OrderedReady"
    update_strategy: StatefulSetUpdateStrategy = StatefulSetUpdateStrategy()
    revision_history_limit: int = 10
    min_ready_seconds: int = 0
    persistent_volume_claim_retention_policy: ClaimRetention = ClaimRetention()
    ordinals: StatefulSetOrdinals = StatefulSetOrdinals()


class StatefulSetStatus(Model):
    """How many there are, and of which revisions."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    collision_count: int | None = None
    available_replicas: int = 0


class StatefulSet(Object):
    """`apps/v1.StatefulSet`."""

    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class RollingUpdateDaemonSet(Model):
    """How far a rolling update may stray from one available pod on each node."""

    max_unavailable: IntOrString = 1
    max_surge: IntOrString = 0


class DaemonSetUpdateStrategy(Model):
    """OnDelete or RollingUpdate."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdateDaemonSet | None = None


class DaemonSetSpec(Model):
    """One pod on each node."""

    selector: LabelSelectorModel = LabelSelectorModel()
    template: RawTemplate = RawTemplate()
    update_strategy: DaemonSetUpdateStrategy = DaemonSetUpdateStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10


class DaemonSetStatus(Model):
    """On how many nodes a pod runs, should run, and should not."""

    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0
    observed_generation: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    number_unavailable: int = 0
    collision_count: int | None = None


class DaemonSet(Object):
    """`apps/v1.DaemonSet`."""

    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class ControllerRevision(Object):
    """`apps/v1.ControllerRevision`: what of an owner's spec a revision stands for, and its number."""

    data: dict[str, Any] = {}
    revision: int = 0
