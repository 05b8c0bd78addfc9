"""The proxy's metrics; those that kube-proxy and CoreDNS have too carry their names."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

SYNC_SECONDS = Histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "How long it takes to bring a batch of changes to the kernel.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
SYNC_FAILURES = Counter(
    "kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "Transactions that nftables refused."
)
DNS_REQUESTS = Counter("coredns_dns_requests_total", "DNS questions by protocol.", ["proto"])
DNS_RESPONSES = Counter("coredns_dns_responses_total", "DNS answers by response code.", ["rcode"])
DNS_FORWARDS = Counter("coredns_forward_requests_total", "Questions sent to an upstream name server.", ["to"])
