"""KubeSchedulerConfiguration, version v1: the fields, and what they are when a file does not say.

Source: kube-scheduler's published configuration API, kubescheduler.config.k8s.io/v1.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from . import KIND, VERSION
from .values import Flag, Int32, Int64, Octets, RawObject, Real, Seconds, Text, go_type


class _Model(BaseModel):
    """Strict: what is not named here is refused. Null is as good as absent."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=False, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise go_type(cls.__name__)
        known = {field.alias for field in cls.model_fields.values()}
        return {name: item for name, item in value.items() if item is not None or name not in known}


class LeaderElectionConfiguration(_Model):
    """Who of several equal schedulers acts."""

    leader_elect: Flag = True
    lease_duration: Seconds = 15.0
    renew_deadline: Seconds = 10.0
    retry_period: Seconds = 2.0
    resource_lock: Text = "leases"
    resource_name: Text = "kube-scheduler"
    resource_namespace: Text = "kube-system"


class ClientConnectionConfiguration(_Model):
    """How the API server is reached. Requests are not throttled, and always JSON."""

    kubeconfig: Text = ""
    accept_content_types: Text = ""
    content_type: Text = ""
    qps: Real = 50.0
    burst: Int32 = 100


class Plugin(_Model):
    """A plugin, and what its score counts."""

    name: Text = ""
    weight: Int32 = 0


class PluginSet(_Model):
    """What is enabled and disabled at an extension point."""

    enabled: list[Plugin] = []
    disabled: list[Plugin] = []


class Plugins(_Model):
    """By extension point; `multi_point` is all that a plugin implements."""

    pre_enqueue: PluginSet = PluginSet()
    queue_sort: PluginSet = PluginSet()
    pre_filter: PluginSet = PluginSet()
    filter: PluginSet = PluginSet()
    post_filter: PluginSet = PluginSet()
    pre_score: PluginSet = PluginSet()
    score: PluginSet = PluginSet()
    reserve: PluginSet = PluginSet()
    permit: PluginSet = PluginSet()
    pre_bind: PluginSet = PluginSet()
    bind: PluginSet = PluginSet()
    post_bind: PluginSet = PluginSet()
    multi_point: PluginSet = PluginSet()
    placement_generate: PluginSet = PluginSet()
    placement_score: PluginSet = PluginSet()
    pod_group_post_filter: PluginSet = PluginSet()


class PluginConfig(_Model):
    """The arguments of a plugin, which the plugin itself reads."""

    name: Text = ""
    args: RawObject = {}


class KubeSchedulerProfile(_Model):
    """One scheduler by name. `percentage_of_nodes_to_score` changes nothing: all nodes are looked at."""

    scheduler_name: Text | None = None
    percentage_of_nodes_to_score: Int32 | None = None
    plugins: Plugins = Plugins()
    plugin_config: list[PluginConfig] = []


class ExtenderManagedResource(_Model):
    """A resource that an extender looks after."""

    name: Text = ""
    ignored_by_scheduler: Flag = False


class ExtenderTLSConfig(_Model):
    """How an extender is reached by HTTPS; data counts before files."""

    insecure: Flag = False
    server_name: Text = ""
    cert_file: Text = ""
    key_file: Text = ""
    ca_file: Text = ""
    cert_data: Octets = b""
    key_data: Octets = b""
    ca_data: Octets = b""


class Extender(_Model):
    """An HTTP server that has a say in placing pods. A verb that is empty is not asked for."""

    url_prefix: Text = ""
    filter_verb: Text = ""
    preempt_verb: Text = ""
    prioritize_verb: Text = ""
    weight: Int64 = 0
    bind_verb: Text = ""
    enable_https: Flag = Field(default=False, alias="enableHTTPS")
    tls_config: ExtenderTLSConfig | None = None
    http_timeout: Seconds = 0.0
    node_cache_capable: Flag = False
    managed_resources: list[ExtenderManagedResource] = []
    ignorable: Flag = False


class KubeSchedulerConfiguration(_Model):
    """The whole file."""

    api_version: Text = VERSION
    kind: Text = KIND
    parallelism: Int32 = 16
    leader_election: LeaderElectionConfiguration = LeaderElectionConfiguration()
    client_connection: ClientConnectionConfiguration = ClientConnectionConfiguration()
    enable_profiling: Flag = True
    enable_contention_profiling: Flag = True
    percentage_of_nodes_to_score: Int32 = 0
    pod_initial_backoff_seconds: Int64 = 1
    pod_max_backoff_seconds: Int64 = 10
    profiles: list[KubeSchedulerProfile] = []
    extenders: list[Extender] = []
    delay_cache_until_active: Flag = False
