"""What is wrong with a KubeSchedulerConfiguration whose fields are all of the right type.

Source: kube-scheduler's validation of its configuration, for the rules and the words.
"""

from __future__ import annotations

from collections.abc import Iterator

from k8slite.errors import Cause, duplicate, invalid_value, required
from k8slite.labels import key_problems

from ..durations import show_duration
from . import VERSION
from .model import Extender, KubeSchedulerConfiguration, KubeSchedulerProfile, LeaderElectionConfiguration

#: Plugins of old that no version of the configuration knows any more.
REMOVED = frozenset({"AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"})

_NATIVE = "kubernetes.io/"


def check(configuration: KubeSchedulerConfiguration) -> Iterator[Cause]:
    """Every problem, in the order of the fields."""
    burst = configuration.client_connection.burst
    if burst < 0:
        yield invalid_value("clientConnection.burst", burst, "must be non-negative")
    yield from _leader_election(configuration.leader_election)
    if configuration.parallelism <= 0:
        detail = "should be an integer value greater than zero"
        yield invalid_value("parallelism", configuration.parallelism, detail)
    yield from _profiles(configuration.profiles)
    yield from _percentage("percentageOfNodesToScore", configuration.percentage_of_nodes_to_score)
    first, longest = configuration.pod_initial_backoff_seconds, configuration.pod_max_backoff_seconds
    if first <= 0:
        yield invalid_value("podInitialBackoffSeconds", first, "must be greater than 0")
    if longest < first:
        detail = "must be greater than or equal to PodInitialBackoffSeconds"
        yield invalid_value("podMaxBackoffSeconds", longest, detail)
    yield from _extenders(configuration.extenders)


def _leader_election(election: LeaderElectionConfiguration) -> Iterator[Cause]:
    if not election.leader_elect:
        return
    lease, renew, retry = election.lease_duration, election.renew_deadline, election.retry_period
    for name, seconds in (("leaseDuration", lease), ("renewDeadline", renew), ("retryPeriod", retry)):
        if seconds <= 0:
            yield _invalid_duration(f"leaderElection.{name}", seconds, "must be greater than zero")
    if lease <= renew:
        yield _invalid_duration(
            "leaderElection.leaseDuration", renew, "LeaseDuration must be greater than RenewDeadline"
        )
    if renew <= retry:
        yield _invalid_duration("leaderElection.renewDeadline", retry, "RenewDeadline must be greater than RetryPeriod")
    if election.resource_lock != "leases":
        yield invalid_value(
            "leaderElection.resourceLock", election.resource_lock, 'resourceLock value must be "leases"'
        )


def _invalid_duration(field: str, seconds: float, detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {show_duration(seconds)}: {detail}", field)


def _percentage(field: str, percentage: int | None) -> Iterator[Cause]:
    if percentage is not None and not 0 <= percentage <= 100:
        yield invalid_value(field, percentage, "not in valid range [0-100]")


def _profiles(profiles: list[KubeSchedulerProfile]) -> Iterator[Cause]:
    seen: dict[str, int] = {}
    for index, profile in enumerate(profiles):
        field = f"profiles[{index}]"
        name = profile.scheduler_name or ""
        if not name:
            yield required(f"{field}.schedulerName")
        yield from _percentage(f"{field}.percentageOfNodesToScore", profile.percentage_of_nodes_to_score)
        yield from _plugins(field, profile)
        if name in seen:
            yield Cause(
                "FieldValueDuplicate",
                f"Duplicate value: profiles[{seen[name]}].schedulerName",
                f"{field}.schedulerName",
            )
        seen[name] = index
    yield from _queue_sort(profiles)


def _plugins(field: str, profile: KubeSchedulerProfile) -> Iterator[Cause]:
    removed = f'was invalid in version "v1" (KubeSchedulerConfiguration is version "{VERSION}")'
    for name, model_field in type(profile.plugins).model_fields.items():
        for index, plugin in enumerate(getattr(profile.plugins, name).enabled):
            here = f"{field}.plugins.{model_field.alias}.enabled[{index}]"
            if plugin.name in REMOVED:
                yield invalid_value(here, plugin.name, removed)
            if plugin.weight < 0:
                yield invalid_value(f"{here}.weight", plugin.weight, "must not be negative")
    seen: set[str] = set()
    for index, config in enumerate(profile.plugin_config):
        here = f"{field}.pluginConfig[{index}]"
        if config.name in seen:
            yield duplicate(here, config.name)
        seen.add(config.name)
        if config.name in REMOVED:
            yield invalid_value(here, config.name, removed)


def _queue_sort(profiles: list[KubeSchedulerProfile]) -> Iterator[Cause]:
    """One queue holds the pods of all profiles, so that they must agree on its order."""
    if not profiles:
        return
    first = profiles[0]
    enabled = first.plugins.queue_sort.enabled
    if len(enabled) > 1:
        detail = "only one queue sort plugin can be enabled"
        yield invalid_value("profiles[0].plugins.queueSort.Enabled", len(enabled), detail)
    name = enabled[0].name if enabled else ""
    args = next((config.args for config in first.plugin_config if name and config.name == name), None)
    for index, profile in enumerate(profiles[1:], 1):
        if profile.plugins.queue_sort != first.plugins.queue_sort:
            shown = profile.plugins.queue_sort.model_dump(by_alias=True)
            yield invalid_value(f"profiles[{index}].plugins.queueSort", shown, "must be the same for all profiles")
        for config in profile.plugin_config:
            if name and config.name == name and config.args != args:
                detail = "queueSort must be the same for all profiles"
                yield invalid_value(f"profiles[{index}].pluginConfig.args", config.args, detail)


def _extenders(extenders: list[Extender]) -> Iterator[Cause]:
    managed: set[str] = set()
    binders = sum(bool(extender.bind_verb) for extender in extenders)
    for index, extender in enumerate(extenders):
        field = f"extenders[{index}]"
        if extender.prioritize_verb and extender.weight <= 0:
            yield invalid_value(f"{field}.weight", extender.weight, "must have a positive weight applied to it")
        for position, resource in enumerate(extender.managed_resources):
            here = f"{field}.managedResources[{position}].name"
            yield from _extended_resource(here, resource.name)
            if resource.name in managed:
                yield invalid_value(here, resource.name, "duplicate extender managed resource name")
            managed.add(resource.name)
    if binders > 1:
        found = f"found {binders} extenders implementing bind"
        yield invalid_value("extenders", found, "only one extender can implement bind")


def _extended_resource(field: str, name: str) -> Iterator[Cause]:
    problems = key_problems(name)
    yield from (invalid_value(field, name, problem) for problem in problems)
    native = "/" not in name or _NATIVE in name
    if not problems and (native or name.startswith("requests.") or key_problems(f"requests.{name}")):
        yield invalid_value(field, name, "is an invalid extended resource name")
