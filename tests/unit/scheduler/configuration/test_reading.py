"""KubeSchedulerConfiguration files: what is taken, and what is wrong with the others, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8slite.config import ConfigError, SchedulerConfig
from k8slite.scheduler.configuration.reading import Configuration, read_configuration
from k8slite.scheduler.main import configured
from k8slite.scheduler.settings import read_settings
from k8slite.scheduler.waiting import Backoff

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def read(directory: Path, body: str, *, head: str = HEAD) -> Configuration:
    file = directory / "scheduler.yaml"
    file.write_text(head + body)
    return read_configuration(file)


def problems(directory: Path, body: str, *, head: str = HEAD) -> list[str]:
    """Line and message of each; the body begins at line 3."""
    with pytest.raises(ConfigError) as caught:
        read(directory, body, head=head)
    return [line.removeprefix(f"{directory}/scheduler.yaml:") for line in str(caught.value).splitlines()]


def test_nothing_said_is_the_default_scheduler(tmp_path: Path) -> None:
    wanted = read(tmp_path, "").wanted
    assert [profile.scheduler_name for profile in wanted.profiles] == ["default-scheduler"]
    assert (wanted.parallelism, wanted.percentage_of_nodes_to_score) == (16, 0)
    assert (wanted.pod_initial_backoff_seconds, wanted.pod_max_backoff_seconds) == (1, 10)
    assert (wanted.leader_election.leader_elect, wanted.leader_election.lease_duration) == (True, 15.0)
    assert wanted.leader_election.resource_name == "kube-scheduler"
    assert wanted.client_connection.qps == 50


def test_null_and_zero_mean_what_they_mean_upstream(tmp_path: Path) -> None:
    wanted = read(
        tmp_path,
        """
profiles: null
podMaxBackoffSeconds: null
leaderElection: {leaderElect: false, leaseDuration: 0s, resourceName: ""}
clientConnection: {qps: 0, burst: 0}
""",
    ).wanted
    assert wanted.pod_max_backoff_seconds == 10
    assert not wanted.leader_election.leader_elect
    assert wanted.leader_election.lease_duration == 15
    assert wanted.leader_election.resource_name == "kube-scheduler"
    assert (wanted.client_connection.qps, wanted.client_connection.burst) == (50, 100)


def test_a_whole_file(tmp_path: Path) -> None:
    wanted = read(
        tmp_path,
        """
parallelism: 8
percentageOfNodesToScore: 35
delayCacheUntilActive: true
enableProfiling: false
enableContentionProfiling: false
clientConnection: {kubeconfig: /etc/scheduler.conf, acceptContentTypes: "", contentType: application/json, qps: 10.5}
leaderElection: {leaseDuration: 1m, renewDeadline: 40s, retryPeriod: 1.5s, resourceNamespace: mine}
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
profiles:
- schedulerName: me
  percentageOfNodesToScore: 50
  plugins:
    preEnqueue: {enabled: [{name: SchedulingGates}]}
    multiPoint:
      disabled: [{name: "*"}]
    score:
      enabled:
      - name: NodeAffinity
        weight: 3
    podGroupPostFilter: {disabled: [{name: "*"}]}
  pluginConfig:
  - name: NodeAffinity
    args: {anything: [1, 2]}
  - name: Mine
- schedulerName: other
extenders:
- urlPrefix: https://extender
  filterVerb: filter
  prioritizeVerb: prioritize
  preemptVerb: preempt
  bindVerb: bind
  weight: 5
  enableHTTPS: true
  tlsConfig: {insecure: false, serverName: a, certFile: b, keyFile: c, caData: YWJj}
  httpTimeout: 300ms
  nodeCacheCapable: true
  managedResources:
  - name: example.com/gpu
    ignoredByScheduler: true
  ignorable: true
""",
    ).wanted
    assert wanted.leader_election.retry_period == 1.5
    assert wanted.profiles[0].plugins.score.enabled[0].weight == 3
    assert wanted.profiles[0].plugin_config[0].args == {"anything": [1, 2]}
    (extender,) = wanted.extenders
    assert extender.http_timeout == 0.3
    assert extender.tls_config is not None
    assert extender.tls_config.ca_data == b"abc"


GO = "json: cannot unmarshal"
FIELD = "Go struct field KubeSchedulerConfiguration"
REFUSED: list[tuple[str, list[str]]] = [
    ("parallelism: 0", ["3: parallelism: Invalid value: 0: should be an integer value greater than zero"]),
    ("parallelism: many", [f"3: {GO} string into {FIELD}.parallelism of type int32"]),
    ("parallelism: 1.5", [f"3: {GO} number 1.5 into {FIELD}.parallelism of type int32"]),
    ("parallelism: 4294967296", [f"3: {GO} number 4294967296 into {FIELD}.parallelism of type int32"]),
    ("delayCacheUntilActive: 1", [f"3: {GO} number 1 into {FIELD}.delayCacheUntilActive of type bool"]),
    ("profiles: {}", [f"3: {GO} object into {FIELD}.profiles of type slice"]),
    ("profile: []", ['3: strict decoding error: unknown field "profile"']),
    ("parallelism: 1\nparallelism: 2", ['4: yaml: key "parallelism" already set in map']),
    ("percentageOfNodesToScore: 101", ["3: percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"]),
    (
        "profiles:\n- percentageOfNodesToScore: -1",
        ["4: profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]"],
    ),
    (
        "podInitialBackoffSeconds: 0",
        ["3: podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"],
    ),
    (
        "podInitialBackoffSeconds: 11",
        ["1: podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to PodInitialBackoffSeconds"],
    ),
    ("clientConnection: {burst: -1}", ["3: clientConnection.burst: Invalid value: -1: must be non-negative"]),
    (
        "leaderElection:\n  resourceLock: configmaps",
        ['4: leaderElection.resourceLock: Invalid value: "configmaps": resourceLock value must be "leases"'],
    ),
    (
        "leaderElection:\n  leaseDuration: 10s\n  retryPeriod: 1m0s",
        [
            "3: leaderElection.renewDeadline: Invalid value: 1m0s: RenewDeadline must be greater than RetryPeriod",
            "4: leaderElection.leaseDuration: Invalid value: 10s: LeaseDuration must be greater than RenewDeadline",
        ],
    ),
    ("leaderElection: {retryPeriod: 1}", [f"3: {GO} number 1 into {FIELD}.leaderElection.retryPeriod of type string"]),
    ("leaderElection: {leaseDuration: ten}", ['3: leaderElection.leaseDuration: time: invalid duration "ten"']),
    (
        "profiles:\n- schedulerName: a\n- {}\n- schedulerName: a",
        [
            "5: profiles[1].schedulerName: Required value",
            "6: profiles[2].schedulerName: Duplicate value: profiles[0].schedulerName",
        ],
    ),
    ('profiles:\n- schedulerName: ""', ["4: profiles[0].schedulerName: Required value"]),
    (
        "profiles:\n- pluginConfig:\n  - name: A\n  - name: A",
        ['6: profiles[0].pluginConfig[1]: Duplicate value: "A"'],
    ),
    (
        "profiles:\n- plugins:\n    filter: {enabled: [{name: EBSLimits}]}",
        [
            '5: profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "v1" '
            '(KubeSchedulerConfiguration is version "kubescheduler.config.k8s.io/v1")'
        ],
    ),
    (
        "profiles:\n- plugins:\n    score: {enabled: [{name: A, wait: 3}]}",
        ['5: strict decoding error: unknown field "profiles[0].plugins.score.enabled[0].wait"'],
    ),
    (
        "profiles:\n- plugins:\n    queueSort: {enabled: [{name: A}, {name: B}]}",
        ["5: profiles[0].plugins.queueSort.Enabled: Invalid value: 2: only one queue sort plugin can be enabled"],
    ),
    (
        "profiles:\n- schedulerName: a\n  plugins: {queueSort: {enabled: [{name: A}]}}\n- schedulerName: b",
        [
            '6: profiles[1].plugins.queueSort: Invalid value: {"enabled":[],"disabled":[]}: '
            "must be the same for all profiles"
        ],
    ),
    (
        "extenders:\n- prioritizeVerb: p\n  weight: -1",
        ["5: extenders[0].weight: Invalid value: -1: must have a positive weight applied to it"],
    ),
    (
        "extenders:\n- bindVerb: b\n- bindVerb: b",
        ['3: extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind'],
    ),
    (
        "extenders:\n- managedResources: [{name: foo.com/bar}]\n- managedResources: [{name: foo.com/bar}]",
        [
            '5: extenders[1].managedResources[0].name: Invalid value: "foo.com/bar": '
            "duplicate extender managed resource name"
        ],
    ),
    (
        "extenders:\n- managedResources:\n  - name: kubernetes.io/foo",
        [
            '5: extenders[0].managedResources[0].name: Invalid value: "kubernetes.io/foo": '
            "is an invalid extended resource name"
        ],
    ),
    ("extenders:\n- tlsConfig: {caData: '???'}", ["4: extenders[0].tlsConfig.caData: illegal base64 data"]),
]


@pytest.mark.parametrize(("body", "expected"), REFUSED, ids=[body.replace("\n", " ") for body, _ in REFUSED])
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, body: str, expected: list[str]) -> None:
    assert problems(tmp_path, body) == expected


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    body = "unknown: 1\nparallelism: x\nprofiles:\n- schedulerName: a\n- schedulerName: a\npodMaxBackoffSeconds: 0\n"
    assert [line.partition(":")[0] for line in problems(tmp_path, body)] == ["3", "4", "7", "8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": Object 'Kind' is missing"),
        ("- 1", ": Object 'Kind' is missing"),
        ("kind: KubeSchedulerConfiguration", ": Object 'apiVersion' is missing"),
        (
            "kind: KubeSchedulerConfiguration\napiVersion: kubescheduler.config.k8s.io/v1beta3",
            ':2: no kind "KubeSchedulerConfiguration" is registered for version "kubescheduler.config.k8s.io/v1beta3"',
        ),
        ("a: [", ":1: yaml: expected the node content, but found '<stream end>'"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_configuration(file)
    assert str(caught.value) == f"{file}{message}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        read_configuration(tmp_path / "nowhere.yaml")


def test_names_that_look_like_dates_stay_names(tmp_path: Path) -> None:
    wanted = read(tmp_path, "profiles:\n- schedulerName: 2026-01-01\n").wanted
    assert wanted.profiles[0].scheduler_name == "2026-01-01"


def test_the_program_takes_upstreams_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(
        f"{HEAD}clientConnection: {{kubeconfig: /etc/scheduler.conf}}\n"
        "leaderElection: {leaderElect: false, leaseDuration: 1m}\n"
    )
    settings = read_settings(file)
    assert settings.kubeconfig == Path("/etc/scheduler.conf")
    assert settings.configuration == file
    assert (settings.leader_election.enabled, settings.leader_election.lease_duration) == (False, 60.0)


def test_the_program_needs_to_know_how_to_reach_the_server(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(HEAD)
    with pytest.raises(ConfigError, match=r"clientConnection.kubeconfig: Required value"):
        read_settings(file)


def test_the_program_takes_its_own_settings(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text("kubeconfig: /etc/scheduler.conf\nconfiguration: /etc/profiles.yaml\n")
    assert read_settings(file) == SchedulerConfig(
        kubeconfig=Path("/etc/scheduler.conf"), configuration=Path("/etc/profiles.yaml")
    )
    file.write_text("kubeconfig: /etc/scheduler.conf\nprofiles: []\n")
    with pytest.raises(ConfigError, match="profiles: Extra inputs are not permitted"):
        read_settings(file)


def test_what_the_program_makes_of_it(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    body = "podInitialBackoffSeconds: 2\npodMaxBackoffSeconds: 20\nextenders: [{urlPrefix: http://a}]\n"
    file.write_text(f"{HEAD}{body}leaderElection: {{resourceName: mine, resourceNamespace: here}}\n")
    setup = configured(file)
    assert setup.backoff == Backoff(first=2, longest=20)
    assert [extender.url for extender in setup.extenders] == ["http://a"]
    assert (setup.lease, setup.lease_namespace) == ("mine", "here")
    assert setup.follows_at_once
    file.write_text(f"{HEAD}delayCacheUntilActive: true\n")
    assert not configured(file).follows_at_once
