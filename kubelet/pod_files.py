"""The files that the kubelet manages in every pod: /etc/hosts and /etc/resolv.conf, as pure texts.

Source: Kubernetes documentation, "DNS for Services and Pods", "Adding entries to Pod /etc/hosts".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from k8slite.kinds.core import Pod
from k8slite.resolv_conf import is_loopback

_HOSTS = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


@dataclass(frozen=True, slots=True)
class Resolver:
    """The contents of a resolv.conf."""

    nameservers: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As the file."""
        lines = [f"nameserver {server}" for server in self.nameservers]
        if self.searches:
            lines.append("search " + " ".join(self.searches))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "".join(f"{line}\n" for line in lines)


def parse_resolver(text: str) -> Resolver:
    """Read a resolv.conf."""
    found = Resolver()
    for line in text.splitlines():
        match line.split("#", 1)[0].split():
            case ["nameserver", server, *_]:
                found.nameservers.append(server)
            case ["search" | "domain", *names]:
                found.searches[:] = names
            case ["options", *options]:
                found.options.extend(options)
    return found


def resolver_of(pod: Pod, *, node: Resolver, cluster_dns: Sequence[str], domain: str) -> Resolver:
    """The pod's resolv.conf by its DNS policy."""
    spec = pod.spec
    policy = spec.dns_policy
    if policy == "ClusterFirst" and spec.host_network:
        policy = "Default"
    if policy == "None":
        base = Resolver()
    elif policy in ("ClusterFirst", "ClusterFirstWithHostNet") and cluster_dns:
        searches = [f"{pod.namespace}.svc.{domain}", f"svc.{domain}", domain]
        searches += [name for name in node.searches if name not in searches]
        base = Resolver(list(cluster_dns), searches, ["ndots:5"])
    elif spec.host_network:
        base = node
    else:
        base = _seen_from_a_pod(node, instead=cluster_dns)
    extra = spec.dns_config
    if extra is None:
        return base
    options = {option.partition(":")[0]: option for option in base.options}
    options |= {o.name: f"{o.name}:{o.value}" if o.value is not None else o.name for o in extra.options}
    return Resolver(
        _unique([*base.nameservers, *extra.nameservers])[:3],
        _unique([*base.searches, *extra.searches])[:32],
        list(options.values()),
    )


def _seen_from_a_pod(node: Resolver, *, instead: Sequence[str]) -> Resolver:
    """The node's resolver without servers on its loopback; cluster DNS, which can ask those, if no other is left."""
    servers = [server for server in node.nameservers if not is_loopback(server)]
    return Resolver(servers or list(instead), node.searches, node.options)


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def hostname_of(pod: Pod) -> str:
    """The pod's host name: what it asks for, or its own name, cut to what the kernel takes."""
    return (pod.spec.hostname or pod.name)[:63].rstrip("-.")


def hosts_text(pod: Pod, *, addresses: Sequence[str], domain: str, node_hosts: str = "") -> str:
    """The pod's /etc/hosts; on the host's network it begins with the node's own."""
    if pod.spec.host_network:
        text = "# Kubernetes-managed hosts file (host network).\n" + node_hosts
    else:
        text = _HOSTS
        name = hostname_of(pod)
        qualified = f"{name}.{pod.spec.subdomain}.{pod.namespace}.svc.{domain}\t" if pod.spec.subdomain else ""
        text += "".join(f"{address}\t{qualified}{name}\n" for address in addresses)
    if pod.spec.host_aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(alias.ip + "\t" + "\t".join(alias.hostnames) + "\n" for alias in pod.spec.host_aliases)
    return text
