"""The scheduler's settings, from our own file or from upstream's: its `kind` decides."""

from __future__ import annotations

from pathlib import Path

from k8slite.config import LeaderElectionConfig, SchedulerConfig, load

from .configuration.document import is_upstreams, read_document


def read_settings(file: Path) -> SchedulerConfig:
    """Settings of a file of either kind; what a KubeSchedulerConfiguration cannot say keeps its default.

    Raises ConfigError.
    """
    document = read_document(file)
    if not is_upstreams(document.tree):
        return load(SchedulerConfig, file)
    from .configuration.reading import parse  # the models of the whole file take memory

    wanted = parse(document).wanted
    election = wanted.leader_election
    if not wanted.client_connection.kubeconfig:
        document.refuse([("clientConnection.kubeconfig", "clientConnection.kubeconfig: Required value")])
    return SchedulerConfig(
        kubeconfig=Path(wanted.client_connection.kubeconfig),
        leader_election=LeaderElectionConfig(
            enabled=election.leader_elect,
            lease_duration=election.lease_duration,
            renew_deadline=election.renew_deadline,
            retry_period=election.retry_period,
        ),
        configuration=file,
    )
