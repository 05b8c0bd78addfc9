"""Ingresses, policies, address ranges, EndpointSlices: good ones, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from k8slite.apiserver.validation import discovery, ingresses, networking
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

from .tables import META, Document, Row, Rule, cases

BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
S = "spec.rules[0]"
P = f"{S}.http.paths[0]"

GOOD: dict[str, tuple[Rule, Document]] = {
    "ingress": (ingresses.ingress, {"spec": {"rules": [{"host": "a.example.com", "http": {"paths": [PATH]}}]}}),
    "ingressclass": (ingresses.ingress_class, {"spec": {"controller": "example.com/ingress"}}),
    "networkpolicy": (
        networking.network_policy,
        {"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}], "policyTypes": ["Ingress"]}},
    ),
    "servicecidr": (networking.service_cidr, {"spec": {"cidrs": ["10.0.0.0/16"]}}),
    "ipaddress": (networking.ip_address, {"spec": {"parentRef": {"resource": "services", "name": "web"}}}),
    "endpointslice": (
        discovery.endpoint_slice,
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"]}],
            "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        },
    ),
}

TABLE: dict[str, list[Row]] = {
    "ingress": [
        ({"spec": {}}, [("invalid", "spec", "either `defaultBackend` or `rules` must be specified")]),
        (
            {"spec.rules.0.host": "192.0.2.1", "spec.tls": [{"hosts": ["*.*.a"]}]},
            [
                ("invalid", f"{S}.host", "must be a DNS name, not an IP address"),
                ("invalid", "spec.tls[0].hosts[0]", "a wildcard DNS-1123 subdomain must start with '*.'"),
            ],
        ),
        (
            {"spec.rules.0.http.paths.0": {"path": "a//b/..", "pathType": "Exact", "backend": {}}},
            [
                ("invalid", f"{P}.path", "must be an absolute path"),
                ("invalid", f"{P}.path", "must not contain '//'"),
                ("invalid", f"{P}.path", "cannot end with '/..'"),
                ("invalid", f"{P}.backend", "resource or service backend is required"),
            ],
        ),
        (
            {"spec.rules.0.http.paths.0.pathType": GONE},
            [("required", f"{P}.pathType", "pathType must be specified")],
        ),
        (
            {"spec.defaultBackend": {"service": {"name": "A", "port": {"name": "a", "number": 1}}}},
            [
                ("invalid", "spec.defaultBackend.service.name", "a DNS-1035 label must consist of"),
                ("invalid", "spec.defaultBackend", "cannot set both port name & port number"),
            ],
        ),
    ],
    "ingressclass": [
        (
            {"spec": {"controller": "me", "parameters": {"kind": "K", "scope": "Namespace"}}},
            [
                ("invalid", "spec.controller", 'must be a domain-prefixed path (such as "acme.io/foo")'),
                ("required", "spec.parameters.name", "name is required"),
                ("required", "spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'"),
            ],
        )
    ],
    "networkpolicy": [
        (
            {"spec.ingress.0": {"from": [{}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}},
            [
                ("required", "spec.ingress[0].from[0]", "must specify a peer"),
                ("invalid", "spec.ingress[0].from[1].ipBlock.except[0]", "must be a strict subset of `cidr`"),
            ],
        ),
        (
            {
                "spec.egress": [{"ports": [{"protocol": "ICMP", "port": 80, "endPort": 79}]}],
                "spec.policyTypes": ["Any"],
            },
            [
                ("unsupported", "spec.egress[0].ports[0].protocol", '"SCTP", "TCP", "UDP"'),
                ("invalid", "spec.egress[0].ports[0].endPort", "must be greater than or equal to `port`"),
                ("unsupported", "spec.policyTypes[0]", '"Egress", "Ingress"'),
            ],
        ),
    ],
    "servicecidr": [
        ({"spec.cidrs": []}, [("required", "spec.cidrs", "at least one CIDR required")]),
        ({"spec.cidrs": ["x"]}, [("invalid", "spec.cidrs[0]", "must be a valid CIDR value")]),
        (
            {"spec.cidrs": ["10.0.0.0/16", "10.1.0.0/16"]},
            [("invalid", "spec.cidrs", "may specify no more than one IP for each IP family")],
        ),
    ],
    "ipaddress": [
        ({"spec.parentRef": GONE}, [("required", "spec.parentRef", "")]),
        ({"spec.parentRef.name": ""}, [("required", "spec.parentRef.name", "")]),
    ],
    "endpointslice": [
        (
            {"endpoints": [{"addresses": []}, {"addresses": ["fd00::1", "127.0.0.1"], "hostname": "A"}]},
            [
                ("required", "endpoints[0].addresses", "must contain at least 1 address"),
                ("invalid", "endpoints[1].addresses[0]", "must be an IPv4 address"),
                ("invalid", "endpoints[1].addresses[1]", "may not be in the loopback range"),
                ("invalid", "endpoints[1].hostname", "a lowercase RFC 1123 label"),
            ],
        ),
        (
            {"ports": [{"name": "a", "protocol": "TCP"}, {"name": "a", "protocol": "ICMP"}], "addressType": "DNS"},
            [
                ("unsupported", "addressType", '"FQDN", "IPv4", "IPv6"'),
                ("duplicate", "ports[1].name", '"a"'),
                ("unsupported", "ports[1].protocol", '"SCTP", "TCP", "UDP"'),
            ],
        ),
    ],
}


@pytest.mark.parametrize("kind", GOOD)
def test_good(kind: str) -> None:
    rule, document = GOOD[kind]
    assert rule({**META, **document}) == []


@pytest.mark.parametrize(("kind", "change", "expected"), cases(TABLE))
def test_wrong(kind: str, change: Document, expected: list[Expected]) -> None:
    rule, document = GOOD[kind]
    assert_causes(rule(changed({**META, **document}, change)), expected)
