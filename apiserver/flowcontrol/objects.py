"""The flow schemas and priority levels that every cluster has. Data only.

Mandatory ones (`exempt`, `catch-all`) are held to their specification always, suggested ones while the annotation says
so. What each is for stands in docs/flow-control.md.

Source: Kubernetes' apiserver, apis/flowcontrol/bootstrap.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

GROUP = "flowcontrol.apiserver.k8s.io"
SCHEMAS, LEVELS = "flowschemas", "prioritylevelconfigurations"
AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"
EXEMPT, CATCH_ALL = "exempt", "catch-all"
MANDATORY = frozenset({EXEMPT, CATCH_ALL})

_LEASES = "coordination.k8s.io"
_BY_USER, _BY_NAMESPACE = "ByUser", "ByNamespace"


def _metadata(name: str) -> Document:
    return {"name": name, "generation": 1, "annotations": {AUTOUPDATE: "true"}}


def _level(name: str, shares: int, *, lendable: int, queuing: tuple[int, int] | None = None) -> Document:
    """A limited level; `queuing` is the number of queues and the size of a flow's hand of them."""
    response: Document = {"type": "Reject"}
    if queuing is not None:
        queues, hand = queuing
        response = {"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
    return {"metadata": _metadata(name), "spec": {"type": "Limited", "limited": limited}}


def _schema(name: str, level: str, precedence: int, method: str, rule: Document) -> Document:
    spec: Document = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [rule],
    }
    if method:
        spec["distinguisherMethod"] = {"type": method}
    return {"metadata": _metadata(name), "spec": spec, "status": {}}


def _users(*names: str) -> list[Document]:
    return [{"kind": "User", "user": {"name": name}} for name in names]


def _groups(*names: str) -> list[Document]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


_SYSTEM_ACCOUNTS = [{"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}}]
_EVERYONE = _groups("system:unauthenticated", "system:authenticated")


def _resources(verbs: str, groups: str, resources: str, *, cluster: bool = False) -> Document:
    rule: Document = {
        "verbs": verbs.split(),
        "apiGroups": [groups],
        "resources": resources.split(),
        "namespaces": ["*"],
    }
    return {**rule, "clusterScope": True} if cluster else rule


def _everything(subjects: list[Document]) -> Document:
    return {
        "subjects": subjects,
        "resourceRules": [_resources("*", "*", "*", cluster=True)],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }


PRIORITY_LEVELS: tuple[Document, ...] = (
    _level(CATCH_ALL, 5, lendable=0),
    {
        "metadata": _metadata(EXEMPT),
        "spec": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    },
    _level("system", 30, lendable=33, queuing=(64, 6)),
    _level("node-high", 40, lendable=25, queuing=(64, 6)),
    _level("leader-election", 10, lendable=0, queuing=(16, 4)),
    _level("workload-high", 40, lendable=50, queuing=(128, 6)),
    _level("workload-low", 100, lendable=90, queuing=(128, 6)),
    _level("global-default", 20, lendable=50, queuing=(128, 6)),
)
FLOW_SCHEMAS: tuple[Document, ...] = (
    _schema(EXEMPT, EXEMPT, 1, "", _everything(_groups("system:masters"))),
    _schema(CATCH_ALL, CATCH_ALL, 10_000, _BY_USER, _everything(_EVERYONE)),
    _schema(
        "probes",
        EXEMPT,
        2,
        "",
        {
            "subjects": _EVERYONE,
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
        },
    ),
    _schema(
        "system-leader-election",
        "leader-election",
        100,
        _BY_USER,
        {
            "subjects": [*_users("system:kube-controller-manager", "system:kube-scheduler"), *_SYSTEM_ACCOUNTS],
            "resourceRules": [_resources("get create update", _LEASES, "leases")],
        },
    ),
    _schema(
        "system-node-high",
        "node-high",
        400,
        _BY_USER,
        {
            "subjects": _groups("system:nodes"),
            "resourceRules": [
                _resources("*", "", "nodes nodes/status", cluster=True),
                _resources("*", _LEASES, "leases"),
            ],
        },
    ),
    _schema("system-nodes", "system", 500, _BY_USER, _everything(_groups("system:nodes"))),
    _schema(
        "kube-controller-manager",
        "workload-high",
        800,
        _BY_NAMESPACE,
        _everything(_users("system:kube-controller-manager")),
    ),
    _schema("kube-scheduler", "workload-high", 800, _BY_NAMESPACE, _everything(_users("system:kube-scheduler"))),
    _schema("kube-system-service-accounts", "workload-high", 900, _BY_NAMESPACE, _everything(_SYSTEM_ACCOUNTS)),
    _schema("service-accounts", "workload-low", 9000, _BY_USER, _everything(_groups("system:serviceaccounts"))),
    _schema("global-default", "global-default", 9900, _BY_USER, _everything(_EVERYONE)),
)
