from __future__ import annotations

from typing import Any

import pytest

from k8slite.kubelet.pod_files import Resolver, hostname_of, hosts_text, parse_resolver, resolver_of

from .builders import pod

NODE = Resolver(["192.0.2.53"], ["corp.example"], ["timeout:1"])


def test_a_resolver_file_is_read_and_written() -> None:
    text = "# comment\nnameserver 192.0.2.53\nsearch corp.example\noptions timeout:1\n"
    assert parse_resolver(text) == NODE
    assert NODE.text() == text.split("\n", 1)[1]


@pytest.mark.parametrize(
    ("spec", "servers", "searches", "options"),
    [
        (
            {},
            ["10.96.0.10"],
            ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"],
            ["ndots:5"],
        ),
        ({"dnsPolicy": "Default"}, ["192.0.2.53"], ["corp.example"], ["timeout:1"]),
        ({"hostNetwork": True}, ["192.0.2.53"], ["corp.example"], ["timeout:1"]),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "edns0"}]}},
            ["1.1.1.1"],
            [],
            ["edns0"],
        ),
        (
            {"dnsPolicy": "Default", "dnsConfig": {"options": [{"name": "timeout", "value": "9"}]}},
            ["192.0.2.53"],
            ["corp.example"],
            ["timeout:9"],
        ),
    ],
)
def test_dns_policies(spec: dict[str, Any], servers: list[str], searches: list[str], options: list[str]) -> None:
    found = resolver_of(pod(**spec), node=NODE, cluster_dns=["10.96.0.10"], domain="cluster.local")
    assert found == Resolver(servers, searches, options)


def test_a_pod_is_not_sent_to_its_nodes_loopback() -> None:
    local, mixed = Resolver(["127.0.0.1", "::1"], ["corp.example"]), Resolver(["127.0.0.1", "192.0.2.53", "bad"])

    def of(node: Resolver, **spec: Any) -> list[str]:
        found = resolver_of(pod(dnsPolicy="Default", **spec), node=node, cluster_dns=["10.96.0.10"], domain="x")
        return found.nameservers

    assert of(local) == ["10.96.0.10"]
    assert of(mixed) == ["192.0.2.53", "bad"]
    assert of(local, hostNetwork=True) == ["127.0.0.1", "::1"]


def test_hosts() -> None:
    of = pod(subdomain="front", hostAliases=[{"ip": "192.0.2.9", "hostnames": ["a", "b"]}])
    lines = hosts_text(of, addresses=["10.0.0.5"], domain="cluster.local").splitlines()
    assert "127.0.0.1\tlocalhost" in lines
    assert "10.0.0.5\tweb.front.default.svc.cluster.local\tweb" in lines
    assert "192.0.2.9\ta\tb" in lines
    shared = hosts_text(pod(hostNetwork=True), addresses=[], domain="x", node_hosts="192.0.2.1 node\n")
    assert "192.0.2.1 node" in shared


def test_a_long_name_is_cut_for_the_kernel() -> None:
    assert hostname_of(pod(metadata={"name": "a" * 62 + "-b"})) == "a" * 62
    assert hostname_of(pod(hostname="mine")) == "mine"
