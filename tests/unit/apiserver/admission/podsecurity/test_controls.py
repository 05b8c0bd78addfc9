"""Each control of the Pod Security Standards: what it refuses, since when, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.admission.podsecurity.evaluation import CHECKS, NEWEST, Evaluator, judge, names
from k8slite.apiserver.admission.podsecurity.levels import Standard

Document = dict[str, Any]

GOOD = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
GOOD_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"


def pod(
    *containers: Document, security: Document | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> Document:
    """A pod that is right at every level, changed: containers `a`, `b` … with these fields over the good ones."""
    made = [
        {"name": name, "image": "i", **change, "securityContext": {**GOOD, **change.get("securityContext", {})}}
        for name, change in zip("abc", containers or ({},), strict=False)
    ]
    return {
        "metadata": {"annotations": annotations} if annotations else {},
        "spec": {"containers": made, "securityContext": {**GOOD_POD, **(security or {})}, **spec},
    }


def secured(**security: Any) -> Document:
    return {"securityContext": security}


def say(document: Document, level: str = "restricted", minor: int | None = None) -> str:
    return judge(Standard(level, minor), document["metadata"], document["spec"]).detail


HTTP = {"httpGet": {"port": 80, "host": "10.0.0.1"}}
PORT = {"ports": [{"hostPort": 80}, {"hostPort": 9090}, {"containerPort": 1}]}
WINDOWS = {"windowsOptions": {"hostProcess": True}}

BASELINE = [
    (
        pod(secured(appArmorProfile={"type": "Unconfined"})),
        'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
    ),
    (
        pod(security={"appArmorProfile": {"type": "Unconfined"}}, annotations={APPARMOR + "a": "unconfined"}),
        "forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to "
        f'"Unconfined", "{APPARMOR}a="unconfined"")',
    ),
    (
        pod(secured(capabilities={"drop": ["ALL"], "add": ["NET_RAW", "CHOWN"]}), secured(), secured()),
        'non-default capabilities (container "a" must not include "NET_RAW" in securityContext.capabilities.add)',
    ),
    (
        pod(secured(capabilities={"add": ["SYS_TIME"]}), secured(capabilities={"add": ["NET_RAW"]})),
        'non-default capabilities (containers "a", "b" must not include "NET_RAW", "SYS_TIME" in '
        "securityContext.capabilities.add)",
    ),
    (
        pod(hostNetwork=True, hostPID=True, hostIPC=True),
        "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
    ),
    (
        pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "hostPath": {}}]),
        'hostPath volumes (volumes "v", "w")',
    ),
    (pod({"ports": [{"hostPort": 80}]}), 'hostPort (container "a" uses hostPort 80)'),
    (pod(PORT, {}, PORT), 'hostPort (containers "a", "c" use hostPorts 80, 9090)'),
    (
        pod({"livenessProbe": HTTP}, {"lifecycle": {"preStop": {"tcpSocket": {"port": 1, "host": "h"}}}}),
        'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "10.0.0.1", "h")',
    ),
    (
        pod({"startupProbe": HTTP}),
        'probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1")',
    ),
    (pod(secured(privileged=True)), 'privileged (container "a" must not set securityContext.privileged=true)'),
    (
        pod(secured(procMount="Unmasked")),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        pod(secured(seccompProfile={"type": "Unconfined"}), security={"seccompProfile": {"type": "Unconfined"}}),
        'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    (
        pod(secured(seLinuxOptions={"type": "spc_t", "user": "u"}), security={"seLinuxOptions": {"role": "r"}}),
        'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may '
        "not be set; role may not be set)",
    ),
    (
        pod(security={"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}, {"name": "x"}]}),
        "forbidden sysctls (kernel.msgmax, x)",
    ),
    (
        pod(secured(**WINDOWS), security=WINDOWS),
        'hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)',
    ),
]

RESTRICTED = [
    (
        pod(secured(allowPrivilegeEscalation=None), secured(allowPrivilegeEscalation=True)),
        'allowPrivilegeEscalation != false (containers "a", "b" must set '
        "securityContext.allowPrivilegeEscalation=false)",
    ),
    (
        pod(secured(capabilities={"drop": ["KILL"], "add": ["NET_BIND_SERVICE", "CHOWN"]}), secured(capabilities=None)),
        'unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]; container '
        '"a" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    (
        pod(secured(procMount="Unmasked"), hostUsers=False),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        pod(volumes=[{"name": "v", "nfs": {}}, {"name": "w", "hostPath": {}}, {"name": "x", "emptyDir": {}}]),
        'restricted volume types (volumes "v", "w" use restricted volume types "hostPath", "nfs")',
    ),
    (
        pod(volumes=[{"name": "v", "glusterfs": {}}]),
        'restricted volume types (volume "v" uses restricted volume type "glusterfs")',
    ),
    (
        pod({}, secured(runAsNonRoot=True), security={"runAsNonRoot": None}),
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
    ),
    (
        pod(secured(runAsNonRoot=False), security={"runAsNonRoot": False}),
        'runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)',
    ),
    (
        pod(secured(runAsUser=0), secured(runAsUser=1), security={"runAsUser": 0}),
        'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
    ),
    (
        pod({}, secured(seccompProfile={"type": "Localhost"}), security={"seccompProfile": None}),
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")',
    ),
    (
        pod(secured(seccompProfile={"type": "Unconfined"})),
        'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
]


@pytest.mark.parametrize(("document", "words"), BASELINE)
def test_what_baseline_refuses_is_refused_in_kubernetes_words(document: Document, words: str) -> None:
    assert say(document, "baseline") == words
    assert say(document, "privileged") == ""


@pytest.mark.parametrize(("document", "words"), RESTRICTED)
def test_what_restricted_refuses_is_refused_in_kubernetes_words(document: Document, words: str) -> None:
    assert say(document, "restricted") == words


def test_a_right_pod_is_right_in_every_version_and_on_windows() -> None:
    assert {say(pod(), "restricted", minor) for minor in (None, *range(NEWEST + 5))} == {""}
    bare = {"metadata": {}, "spec": {"os": {"name": "windows"}, "containers": [{"name": "a"}]}}
    bare["spec"]["securityContext"] = {"runAsNonRoot": True}
    assert say(bare, "restricted", 25) == ""
    assert "allowPrivilegeEscalation" in say(bare, "restricted", 24)


def test_everything_wrong_is_said_at_once_baseline_first() -> None:
    document = {"metadata": {}, "spec": {"hostPID": True, "containers": [{"name": "c"}]}}
    assert say(document) == (
        "host namespaces (hostPID=true), "
        'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")'
    )


@pytest.mark.parametrize("member", ["initContainers", "ephemeralContainers"])
@pytest.mark.parametrize(("document", "words"), BASELINE + RESTRICTED)
def test_no_sort_of_container_is_overlooked(document: Document, words: str, member: str) -> None:
    spec = {**document["spec"], member: document["spec"]["containers"], "containers": []}
    assert say({**document, "spec": spec}) == say(document)


@pytest.mark.parametrize(
    ("document", "first"),
    [
        (pod({"livenessProbe": HTTP}), 34),
        (pod(secured(allowPrivilegeEscalation=True)), 8),
        (pod(secured(capabilities={})), 22),
        (pod(secured(runAsUser=0)), 23),
        (pod(security={"seccompProfile": None}), 19),
    ],
)
def test_controls_begin_with_a_version(document: Document, first: int) -> None:
    assert [say(document, "restricted", minor) != "" for minor in range(NEWEST + 2)] == [
        minor >= first for minor in range(NEWEST + 2)
    ]


@pytest.mark.parametrize(
    ("document", "level", "last"),
    [
        (pod(security={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), "baseline", 26),
        (pod(security={"sysctls": [{"name": "net.ipv4.tcp_fin_timeout"}]}), "baseline", 28),
        (pod(security={"sysctls": [{"name": "net.ipv4.tcp_wmem"}]}), "baseline", 31),
        (pod(security={"sysctls": [{"name": "net.ipv4.tcp_notsent_lowat"}]}), "baseline", 36),
        (pod(security={"seLinuxOptions": {"type": "container_engine_t"}}), "baseline", 30),
        (pod(secured(procMount="Unmasked"), hostUsers=False), "baseline", 34),
        (pod(secured(runAsUser=0), hostUsers=False, security={"runAsNonRoot": False}), "restricted", 34),
        (pod(annotations={SECCOMP: "unconfined"}), "baseline", 18),
    ],
)
def test_controls_are_relaxed_with_a_version(document: Document, level: str, last: int) -> None:
    assert [say(document, level, minor) != "" for minor in range(NEWEST + 2)] == [
        minor <= last for minor in range(NEWEST + 2)
    ]


def test_seccomp_was_an_annotation_once() -> None:
    annotations = {SECCOMP: "unconfined", f"container.{SECCOMP.removesuffix('/pod')}/a": "docker/default"}
    assert say(pod(annotations=annotations), "baseline", 18) == (
        f'seccompProfile (forbidden annotation {SECCOMP}="unconfined")'
    )


def test_a_restricted_control_stands_in_place_of_the_weaker_one() -> None:
    assert not {"hostPathVolumes", "capabilities_baseline", "seccompProfile_baseline", "procMount"} & set(
        names(Standard("restricted"))
    )
    earlier = {"capabilities_baseline", "procMount", "seccompProfile_baseline"}
    assert earlier <= set(names(Standard("restricted", 8)))
    assert names(Standard("restricted", 99)) == names(Standard("restricted"))
    assert len(names(Standard("baseline"))) == 12
    assert len({check.id for check in CHECKS}) == len(CHECKS) == 19


def test_what_is_remembered_of_one_pod_holds_for_its_like_alone() -> None:
    evaluator, wrong, right = Evaluator(), pod(secured(privileged=True)), pod()
    for minor in (None, 0, 37):
        standard = Standard("baseline", minor)
        for _ in range(2):
            assert not evaluator.evaluate(standard, wrong["metadata"], wrong["spec"]).allowed
            assert evaluator.evaluate(standard, right["metadata"], right["spec"]).allowed
    for number in range(2000):  # more than are remembered
        annotated = pod(annotations={APPARMOR + "a": f"profile-{number}"})
        found = evaluator.evaluate(Standard("baseline"), annotated["metadata"], annotated["spec"])
        assert f"profile-{number}" in found.detail
