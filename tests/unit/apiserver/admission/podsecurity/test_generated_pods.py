"""Generated pods against a plain predicate for each control, written from the standards' text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.admission.podsecurity.evaluation import judge
from k8slite.apiserver.admission.podsecurity.levels import Standard

Document = dict[str, Any]


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """A mapping with any of these members."""
    return st.fixed_dictionaries({}, optional=fields)


SYSCTLS = ["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net.ipv4.tcp_notsent_lowat", "kernel.sem"]
flags = st.sampled_from([True, False, None])
profiles = some(type=st.sampled_from(["RuntimeDefault", "Localhost", "Unconfined"])).filter(bool)
selinux = some(
    type=st.sampled_from(["", "container_t", "container_kvm_t", "container_engine_t", "spc_t"]),
    user=st.sampled_from(["", "system_u"]),
    role=st.sampled_from(["", "system_r"]),
)
capability = st.sampled_from(["ALL", "NET_BIND_SERVICE", "CHOWN", "NET_RAW", "SYS_ADMIN", "MKNOD"])
shared = {
    "runAsNonRoot": flags,
    "runAsUser": st.sampled_from([0, 1, 1000, None]),
    "seccompProfile": profiles,
    "appArmorProfile": profiles,
    "seLinuxOptions": selinux,
    "windowsOptions": some(hostProcess=flags),
}
securities = some(
    **shared,
    privileged=flags,
    allowPrivilegeEscalation=flags,
    procMount=st.sampled_from(["Default", "Unmasked"]),
    capabilities=some(add=st.lists(capability, max_size=3), drop=st.lists(capability, max_size=3)),
)
pod_securities = some(
    **shared,
    sysctls=st.lists(
        st.sampled_from(SYSCTLS).map(lambda name: {"name": name, "value": "0"}),
        max_size=2,
    ),
)
handlers = st.sampled_from(["httpGet", "tcpSocket"]).flatmap(
    lambda way: some(host=st.sampled_from(["", "127.0.0.1"])).map(lambda target: {way: {"port": 1, **target}})
)
containers = some(
    securityContext=securities,
    ports=st.lists(some(hostPort=st.sampled_from([0, 80]), containerPort=st.just(80)), max_size=2),
    livenessProbe=handlers,
    startupProbe=handlers,
    readinessProbe=handlers,
    lifecycle=some(preStop=handlers, postStart=handlers),
)
SOURCES = ["emptyDir", "secret", "csi", "image", "ephemeral", "hostPath", "nfs", "iscsi", "flexVolume", "gitRepo"]
volumes = st.sampled_from(SOURCES).map(lambda source: {source: {}})
annotations = st.dictionaries(
    st.sampled_from(
        [
            "container.apparmor.security.beta.kubernetes.io/containers-0",
            "seccomp.security.alpha.kubernetes.io/pod",
            "container.seccomp.security.alpha.kubernetes.io/containers-0",
        ]
    ),
    st.sampled_from(["", "runtime/default", "docker/default", "localhost/x", "unconfined"]),
)
MEMBERS = ("initContainers", "containers", "ephemeralContainers")


@st.composite
def pods(draw: st.DrawFn) -> Document:
    spec = draw(
        some(
            hostNetwork=flags,
            hostPID=flags,
            hostIPC=flags,
            hostUsers=flags,
            securityContext=pod_securities,
            os=st.sampled_from([{"name": "windows"}, {"name": "linux"}]),
        )
    )
    for member, most in zip(MEMBERS, (1, 2, 1), strict=True):
        found = draw(st.lists(containers, max_size=most, min_size=member == "containers"))
        spec[member] = [{**one, "name": f"{member}-{index}"} for index, one in enumerate(found)]
    found = draw(st.lists(volumes, max_size=2))
    spec["volumes"] = [{**one, "name": f"v{index}"} for index, one in enumerate(found)]
    return {"metadata": {"annotations": draw(annotations)}, "spec": spec}


# The reference: whether a pod may be, control by control.


def each(pod: Document) -> Iterator[Document]:
    for member in MEMBERS:
        yield from pod["spec"][member]


def contexts(pod: Document, *, own: bool = True) -> Iterator[Document]:
    if own:
        yield pod["spec"].get("securityContext", {})
    for container in each(pod):
        yield container.get("securityContext", {})


def deep(value: Any, *path: str) -> Any:
    for name in path:
        value = (value or {}).get(name)
    return value


def windows(pod: Document, minor: int) -> bool:
    return minor >= 25 and deep(pod, "spec", "os", "name") == "windows"


def namespaced(pod: Document, minor: int) -> bool:
    return minor >= 35 and pod["spec"].get("hostUsers") is False


def apparmor(pod: Document, minor: int) -> bool:
    noted = [v for k, v in pod["metadata"]["annotations"].items() if "apparmor" in k]
    typed = [deep(context, "appArmorProfile", "type") for context in contexts(pod)]
    return "Unconfined" not in typed and not set(noted) - {"", "runtime/default", "localhost/x"}


def capabilities(pod: Document, minor: int) -> bool:
    added = {name for context in contexts(pod, own=False) for name in deep(context, "capabilities", "add") or ()}
    return added <= {"CHOWN", "MKNOD", "NET_BIND_SERVICE"}


def host_namespaces(pod: Document, minor: int) -> bool:
    return not any(pod["spec"].get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))


def host_paths(pod: Document, minor: int) -> bool:
    return all("hostPath" not in volume for volume in pod["spec"]["volumes"])


def host_ports(pod: Document, minor: int) -> bool:
    return not any(port.get("hostPort") for container in each(pod) for port in container.get("ports", ()))


def host_probes(pod: Document, minor: int) -> bool:
    return minor < 34 or "'host': '127.0.0.1'" not in str(pod["spec"])


def privileged(pod: Document, minor: int) -> bool:
    return all(context.get("privileged") is not True for context in contexts(pod, own=False))


def proc_mount(pod: Document, minor: int) -> bool:
    return namespaced(pod, minor) or proc_mount_restricted(pod, minor)


def proc_mount_restricted(pod: Document, minor: int) -> bool:
    return all(context.get("procMount") != "Unmasked" for context in contexts(pod, own=False))


def seccomp(pod: Document, minor: int) -> bool:
    if minor < 19:
        keys = {"seccomp.security.alpha.kubernetes.io/pod"}
        keys |= {f"container.seccomp.security.alpha.kubernetes.io/{container['name']}" for container in each(pod)}
        noted = {value for key, value in pod["metadata"]["annotations"].items() if key in keys}
        return noted <= {"runtime/default", "docker/default", "localhost/x"}
    return all(deep(context, "seccompProfile", "type") != "Unconfined" for context in contexts(pod))


def selinux_options(pod: Document, minor: int) -> bool:
    types = {None, "", "container_t", "container_kvm_t"} | ({"container_engine_t"} if minor >= 31 else set())
    options = [context.get("seLinuxOptions", {}) for context in contexts(pod)]
    return all(one.get("type") in types and not one.get("user") and not one.get("role") for one in options)


def sysctls(pod: Document, minor: int) -> bool:
    allowed = {"kernel.shm_rmid_forced"}
    allowed |= {"net.ipv4.tcp_rmem"} if minor >= 32 else set()
    allowed |= {"net.ipv4.tcp_notsent_lowat"} if minor >= 37 else set()
    return {one["name"] for one in deep(pod, "spec", "securityContext", "sysctls") or ()} <= allowed


def host_process(pod: Document, minor: int) -> bool:
    return all(deep(context, "windowsOptions", "hostProcess") is not True for context in contexts(pod))


def escalation(pod: Document, minor: int) -> bool:
    if minor < 8 or windows(pod, minor):
        return True
    return all(context.get("allowPrivilegeEscalation") is False for context in contexts(pod, own=False))


def restricted_capabilities(pod: Document, minor: int) -> bool:
    if minor < 22:
        return capabilities(pod, minor)
    if windows(pod, minor):
        return True
    each_one = [context.get("capabilities", {}) for context in contexts(pod, own=False)]
    return all("ALL" in one.get("drop", ()) and set(one.get("add", ())) <= {"NET_BIND_SERVICE"} for one in each_one)


def restricted_volumes(pod: Document, minor: int) -> bool:
    return {source for volume in pod["spec"]["volumes"] for source in volume} <= {"name", *SOURCES[:5]}


def non_root(pod: Document, minor: int) -> bool:
    if namespaced(pod, minor):
        return True
    says = [context.get("runAsNonRoot") for context in contexts(pod)]
    return False not in says and (says[0] is True or None not in says[1:])


def user(pod: Document, minor: int) -> bool:
    if minor < 23 or namespaced(pod, minor):
        return True
    return all(context.get("runAsUser") != 0 for context in contexts(pod))


def restricted_seccomp(pod: Document, minor: int) -> bool:
    if minor < 19:
        return seccomp(pod, minor)
    if windows(pod, minor):
        return True
    says = [deep(context, "seccompProfile", "type") for context in contexts(pod)]
    return "Unconfined" not in says and (says[0] is not None or None not in says[1:])


def restricted_proc_mount(pod: Document, minor: int) -> bool:
    return proc_mount_restricted(pod, minor) if minor >= 35 else proc_mount(pod, minor)


Allowed = Callable[[Document, int], bool]
BOTH: dict[str, Allowed] = {
    "forbidden AppArmor profile": apparmor,
    "host namespaces": host_namespaces,
    "hostPort": host_ports,
    "probe or lifecycle host": host_probes,
    "privileged": privileged,
    "seLinuxOptions": selinux_options,
    "forbidden sysctls": sysctls,
    "hostProcess": host_process,
}
REFERENCE: dict[str, dict[str, Allowed]] = {
    "baseline": {
        **BOTH,
        "non-default capabilities": capabilities,
        "hostPath volumes": host_paths,
        "procMount": proc_mount,
        "seccompProfile": seccomp,
    },
    "restricted": {
        **BOTH,
        "capabilities": restricted_capabilities,
        "restricted volume types": restricted_volumes,
        "procMount": restricted_proc_mount,
        "seccompProfile": restricted_seccomp,
        "allowPrivilegeEscalation != false": escalation,
        "runAsNonRoot != true": non_root,
        "runAsUser=0": user,
    },
}
SAME = {
    "forbidden AppArmor profiles": "forbidden AppArmor profile",
    "unrestricted capabilities": "capabilities",
}
VERSIONS = (0, 7, 8, 18, 19, 22, 23, 24, 25, 30, 31, 32, 34, 35, 36, 37, 99)


@settings(max_examples=400, deadline=None)
@given(pod=pods(), level=st.sampled_from(["baseline", "restricted"]), minor=st.sampled_from(VERSIONS))
def test_what_is_found_is_what_the_standards_say(pod: Document, level: str, minor: int) -> None:
    verdict = judge(Standard(level, minor), pod["metadata"], pod["spec"])
    found = {SAME.get(finding.reason, finding.reason) for finding in verdict.findings}
    if level == "restricted" and "non-default capabilities" in found:
        found = found - {"non-default capabilities"} | {"capabilities"}
    assert found == {name for name, allowed in REFERENCE[level].items() if not allowed(pod, minor)}
    assert verdict.allowed == (not found)


@settings(max_examples=100, deadline=None)
@given(pod=pods(), minor=st.sampled_from(VERSIONS))
def test_what_restricted_allows_baseline_allows(pod: Document, minor: int) -> None:
    restricted = judge(Standard("restricted", minor), pod["metadata"], pod["spec"])
    baseline = judge(Standard("baseline", minor), pod["metadata"], pod["spec"])
    # A Windows pod's capabilities and seccomp profile are validation's to refuse, at every level.
    if restricted.allowed and not windows(pod, minor):
        assert baseline.allowed
