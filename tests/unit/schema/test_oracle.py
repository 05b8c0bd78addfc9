"""Judgements compared with kubernetes-validate, which checks documents against the same definitions by other means."""

import json

import kubernetes_validate
import pytest

from k8slite.errors import ApiError
from k8slite.schema import Schemas

SCHEMAS = Schemas()
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SELECTOR = {"matchLabels": {"a": "b"}}
GOOD = [
    ("", "Pod", {"spec": TEMPLATE["spec"]}),
    ("apps", "Deployment", {"spec": {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE}}),
    ("apps", "DaemonSet", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}),
    ("batch", "CronJob", {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}}}),
    ("", "Service", {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}),
    ("", "Secret", {"data": {"a": "aGk="}, "type": "Opaque"}),
    ("networking.k8s.io", "NetworkPolicy", {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}}),
    ("rbac.authorization.k8s.io", "RoleBinding", {"roleRef": {"apiGroup": "x", "kind": "Role", "name": "r"}}),
]
BAD = [
    ("", "Pod", {"spec": {}}),
    ("", "Pod", {"spec": {"containers": [{"image": "i"}]}}),
    ("", "Pod", {"spec": {"containers": [{"name": 3}]}}),
    ("", "Pod", {"spec": {"containers": {"name": "c"}}}),
    ("", "Pod", {"spec": {"containers": [{"name": "c", "command": "sh"}]}}),
    ("", "Pod", {"spec": {"containers": [{"name": "c"}], "unknown": 1}}),
    ("apps", "Deployment", {"spec": {"replicas": "2", "selector": SELECTOR, "template": TEMPLATE}}),
    ("apps", "Deployment", {"spec": {"template": TEMPLATE}}),
    ("batch", "CronJob", {"spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}}}),
    ("", "Service", {"spec": {"ports": [{"port": "80"}]}}),
    ("", "ConfigMap", {"data": {"a": 1}}),
    ("rbac.authorization.k8s.io", "RoleBinding", {"roleRef": {"apiGroup": "x", "kind": "Role"}}),
]


def oracle_accepts(document):
    try:
        kubernetes_validate.validate(document, "1.37", strict=True)
    except kubernetes_validate.ValidationError:
        return False
    return True


def k8slite_accepts(document, group, kind):
    try:
        decoded = SCHEMAS.decode(
            json.dumps(document).encode(), group=group, version="v1", kind=kind, strictness="Strict"
        )
    except ApiError:
        return False
    return not decoded.causes


@pytest.mark.parametrize(
    ("group", "kind", "body", "good"), [(*each, True) for each in GOOD] + [(*b, False) for b in BAD]
)
def test_same_judgement(group, kind, body, good):
    document = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": {"name": "x"},
        **body,
    }
    assert oracle_accepts(document) is good
    assert k8slite_accepts(document, group, kind) is good
