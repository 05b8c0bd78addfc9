from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.kinds.core import ConfigMap, Secret, Service
from k8slite.kubelet.env import ConfigFault, Surroundings, environment, expand, service_variables

from .builders import pod


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap.model_validate({"metadata": {"name": name}, "data": data})


def secret(name: str, **data: str) -> Secret:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return Secret.model_validate({"metadata": {"name": name}, "data": encoded})


def service(name: str, ip: str, *ports: tuple[str, int], namespace: str = "default") -> Service:
    listed = [{"name": port_name, "port": number} for port_name, number in ports]
    return Service.model_validate(
        {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": listed}}
    )


def variables(surroundings: Surroundings | None = None, *, pod_spec: Any = None, **main: Any) -> dict[str, str]:
    of = pod(main=main, **(pod_spec or {}))
    return environment(of.spec.containers[0], pod=of, surroundings=surroundings or Surroundings())


@pytest.mark.parametrize(
    ("text", "result"),
    [("$(A)", "1"), ("$(B)", "$(B)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("x$(A)y$(A)", "x1y1"), ("$$$(A)", "$1")],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "1"}) == result


@given(st.text(alphabet="ab()"))
def test_text_without_a_dollar_stays_as_it_is(text: str) -> None:
    assert expand(text, {"a": "x", "b": "y"}) == text


def test_values_see_earlier_ones_and_services() -> None:
    surroundings = Surroundings(services=[service("kubernetes", "10.96.0.1", ("https", 443))])
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(KUBERNETES_SERVICE_HOST)-$(C)"}]
    assert variables(surroundings, env=env)["B"] == "1-10.96.0.1-$(C)"


def test_references() -> None:
    surroundings = Surroundings(
        config_maps={"c": config_map("c", k="v")}, secrets={"s": secret("s", p="w")}, pod_ips=["10.0.0.9"]
    )
    found = variables(
        surroundings,
        env=[
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
            {"name": "F", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}},
        ],
        envFrom=[{"prefix": "P_", "configMapRef": {"name": "c"}}],
        resources={"limits": {"cpu": "250m"}},
        pod_spec={"metadata": {"labels": {"app": "web"}}},
    )
    assert found == {"A": "v", "B": "w", "C": "10.0.0.9", "D": "web", "E": "250", "P_k": "v"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "x", "key": "k"}}, 'configmap "x" not found'),
        ({"configMapKeyRef": {"name": "c", "key": "x"}}, "couldn't find key x in ConfigMap default/c"),
        ({"secretKeyRef": {"name": "x", "key": "k"}}, 'secret "x" not found'),
        ({"secretKeyRef": {"name": "s", "key": "x"}}, "couldn't find key x in Secret default/s"),
    ],
)
def test_what_is_missing_is_named(source: dict[str, Any], message: str) -> None:
    surroundings = Surroundings(config_maps={"c": config_map("c")}, secrets={"s": secret("s")})
    with pytest.raises(ConfigFault) as caught:
        variables(surroundings, env=[{"name": "A", "valueFrom": source}])
    assert str(caught.value) == message


def test_service_variables() -> None:
    services = [
        service("kubernetes", "10.96.0.1", ("https", 443)),
        service("my-db", "10.96.0.7", ("sql", 5432), ("web", 80)),
        service("other", "10.96.0.8", ("x", 1), namespace="elsewhere"),
        service("headless", "None", ("x", 1)),
    ]
    found = service_variables(pod(), services)
    assert found["MY_DB_SERVICE_HOST"] == "10.96.0.7"
    assert found["MY_DB_SERVICE_PORT_WEB"] == "80"
    assert found["MY_DB_PORT_5432_TCP_ADDR"] == "10.96.0.7"
    assert found["MY_DB_PORT"] == "tcp://10.96.0.7:5432"
    assert not any(name.startswith(("OTHER", "HEADLESS")) for name in found)
    quiet = service_variables(pod(enableServiceLinks=False), services)
    assert {name.split("_")[0] for name in quiet} == {"KUBERNETES"}
