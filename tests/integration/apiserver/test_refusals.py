"""Refusals and warnings as kubectl and clients see them: every fault at once, in upstream's words and form."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

CORE = "/api/v1/namespaces/default"
MERGE = {"content-type": "application/merge-patch+json"}


async def test_a_pods_faults_are_all_named(http: httpx.AsyncClient) -> None:
    pod = {
        "metadata": {"name": "wrong"},
        "spec": {
            "restartPolicy": "Sometimes",
            "containers": [{"name": "a", "image": "b", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        },
    }
    refused = await http.post(f"{CORE}/pods", json=pod)
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        'Pod "wrong" is invalid: [spec.containers[0].volumeMounts[0].name: Not found: "v", spec.restartPolicy: '
        'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"]'
    )
    assert refused.json()["details"]["causes"][0] == {
        "reason": "FieldValueNotFound",
        "message": 'Not found: "v"',
        "field": "spec.containers[0].volumeMounts[0].name",
    }


async def test_kubectl_prints_them_as_ever(server: RunningServer) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "half", "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {"a b": ""},
    }
    result = await Kubectl(server)("create", "-f", "-", stdin=json.dumps(secret))
    assert result.code == 1
    assert result.err.startswith(
        'The Secret "half" is invalid: \n* data[a b]: Invalid value: "a b": a valid config key'
    )
    assert result.err.endswith("* data[tls.crt]: Required value\n* data[tls.key]: Required value")


async def test_warnings_go_with_the_answer(http: httpx.AsyncClient) -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    pod = {"metadata": {"name": "twice"}, "spec": {"containers": [{"name": "a", "image": "b", "env": twice}]}}
    answer = await http.post(f"{CORE}/pods", json=pod)
    assert answer.status_code == 201
    hidden = 'spec.containers[0].env[1]: hides previous definition of \\"A\\", which may be dropped when using apply'
    assert f'299 - "{hidden}"' in answer.headers.get_list("warning")


async def test_workloads_warn_of_their_pods(http: httpx.AsyncClient) -> None:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "a", "image": "b"}], "nodeSelector": {"beta.kubernetes.io/os": "linux"}},
    }
    body = {"metadata": {"name": "warned"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    answer = await http.post("/apis/apps/v1/namespaces/default/deployments", json=body)
    words = 'deprecated since v1.14; use \\"kubernetes.io/os\\" instead'
    expected = f'299 - "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: {words}"'
    assert expected in answer.headers.get_list("warning")


async def test_lines_in_values_stay_on_one_line(http: httpx.AsyncClient) -> None:
    refused = await http.post(f"{CORE}/configmaps", json={"metadata": {"name": "lines"}, "data": {"a\nb\u00a0": ""}})
    assert 'Invalid value: "a\\nb\\u00a0": a valid config key' in refused.json()["message"]


async def test_balanced_services_get_a_port_for_health_checks_and_keep_it(http: httpx.AsyncClient) -> None:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}
    made = (await http.post(f"{CORE}/services", json={"metadata": {"name": "balanced"}, "spec": spec})).json()
    number = made["spec"]["healthCheckNodePort"]
    assert 30000 <= number <= 32767 and number != made["spec"]["ports"][0]["nodePort"]
    other = {"spec": {"healthCheckNodePort": number + 1 if number < 32767 else number - 1}}
    refused = await http.patch(f"{CORE}/services/balanced", headers=MERGE, json=other)
    assert refused.status_code == 422
    inside = {"spec": {"type": "ClusterIP", "externalTrafficPolicy": None, "ports": [{"port": 80}]}}
    freed = await http.patch(f"{CORE}/services/balanced", headers=MERGE, json=inside)
    assert freed.status_code == 200, freed.text
    assert "healthCheckNodePort" not in freed.json()["spec"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        ({"ipFamilyPolicy": "RequireDualStack"}, "this cluster is not configured for dual-stack services"),
        ({"clusterIPs": ["10.96.0.77"]}, "must be empty when `clusterIP` is not specified"),
    ],
)
async def test_families_that_the_cluster_has_not(http: httpx.AsyncClient, spec: dict[str, Any], words: str) -> None:
    body = {"metadata": {"name": "families"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}}
    refused = await http.post(f"{CORE}/services", json=body)
    assert refused.status_code == 422 and words in refused.json()["message"]


async def test_an_address_once_given_is_kept(http: httpx.AsyncClient) -> None:
    await http.post(f"{CORE}/services", json={"metadata": {"name": "kept"}, "spec": {"ports": [{"port": 80}]}})
    moved = {"spec": {"clusterIP": "10.96.0.78"}}
    refused = await http.patch(f"{CORE}/services/kept", headers=MERGE, json=moved)
    assert refused.status_code == 422
    words = 'spec.clusterIPs[0]: Invalid value: ["10.96.0.78"]: may not change once set'
    assert refused.json()["message"] == f'Service "kept" is invalid: {words}'


async def test_label_keys_become_part_of_a_pods_selectors(http: httpx.AsyncClient) -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}},
        "matchLabelKeys": ["version"],
    }
    pod = {
        "metadata": {"name": "spread", "labels": {"app": "a", "version": "2"}},
        "spec": {"containers": [{"name": "a", "image": "b"}], "topologySpreadConstraints": [constraint]},
    }
    made = await http.post(f"{CORE}/pods", json=pod)
    assert made.status_code == 201, made.text
    added = [{"key": "version", "operator": "In", "values": ["2"]}]
    assert made.json()["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"] == added
    labelled = await http.patch(f"{CORE}/pods/spread", headers=MERGE, json={"metadata": {"labels": {"more": "x"}}})
    assert labelled.status_code == 200, labelled.text


async def test_label_keys_become_part_of_what_a_pod_says_of_others(http: httpx.AsyncClient) -> None:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
        "matchLabelKeys": ["version", "absent"],
        "mismatchLabelKeys": ["tenant"],
    }
    strength = {
        "requiredDuringSchedulingIgnoredDuringExecution": [term],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}],
    }
    pod = {
        "metadata": {"name": "affine", "labels": {"app": "a", "version": "2", "tenant": "t"}},
        "spec": {
            "containers": [{"name": "a", "image": "b"}],
            "affinity": {"podAffinity": strength, "podAntiAffinity": strength},
        },
    }
    made = await http.post(f"{CORE}/pods", json=pod)
    assert made.status_code == 201, made.text
    merged = [
        {"key": "app", "operator": "Exists"},
        {"key": "version", "operator": "In", "values": ["2"]},
        {"key": "tenant", "operator": "NotIn", "values": ["t"]},
    ]
    for kind in ("podAffinity", "podAntiAffinity"):
        found = made.json()["spec"]["affinity"][kind]
        (required,) = found["requiredDuringSchedulingIgnoredDuringExecution"]
        (preferred,) = found["preferredDuringSchedulingIgnoredDuringExecution"]
        assert (
            required["labelSelector"] == preferred["podAffinityTerm"]["labelSelector"] == {"matchExpressions": merged}
        )
        assert required["matchLabelKeys"] == ["version", "absent"], "what the user wrote stays"
