from __future__ import annotations

from typing import Any

import pytest

from k8slite.scheduler.shape import HostPort

from .builders import shape


def container(cpu: str = "", *, sidecar: bool = False, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "c", "resources": {"requests": {"cpu": cpu} if cpu else {}}} | more
    return found | ({"restartPolicy": "Always"} if sidecar else {})


@pytest.mark.parametrize(
    ("containers", "init", "overhead", "expected"),
    [
        pytest.param(["100m", "200m"], [], "", 300, id="containers add up"),
        pytest.param(["100m"], [("500m", False)], "", 500, id="a larger init step counts instead"),
        pytest.param(["100m"], [("500m", False), ("700m", False)], "", 700, id="init steps do not add up"),
        pytest.param(["100m"], [("300m", True)], "", 400, id="a sidecar runs on"),
        pytest.param(["100m"], [("300m", True), ("500m", False)], "", 800, id="a step runs beside earlier sidecars"),
        pytest.param(["100m"], [("500m", False), ("300m", True)], "", 500, id="but not beside later ones"),
        pytest.param(["100m"], [("500m", False)], "50m", 550, id="overhead comes on top"),
        pytest.param(["100.5m"], [], "", 101, id="fractions of a millicore are rounded up"),
    ],
)
def test_cpu_of_a_pod(containers: list[str], init: list[tuple[str, bool]], overhead: str, expected: int) -> None:
    found = shape(
        containers=[container(cpu) for cpu in containers],
        initContainers=[container(cpu, sidecar=sidecar) for cpu, sidecar in init],
        overhead={"cpu": overhead} if overhead else {},
    )
    assert dict(found.requests)["cpu"] == expected


def test_every_pod_takes_a_place_and_zero_requests_are_none() -> None:
    assert shape(requests={"cpu": "0"}).requests == (("pods", 1),)


def test_containers_without_requests_count_for_scores() -> None:
    assert shape().scored == (100, 200 << 20)
    assert shape(containers=[container("1"), container()]).scored == (1100, 400 << 20)


def test_host_ports_of_containers_and_sidecars() -> None:
    port = {"containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.1", "protocol": "UDP"}
    found = shape(
        containers=[container(ports=[port, {"containerPort": 81}])],
        initContainers=[container(sidecar=True, ports=[{"containerPort": 1, "hostPort": 1}])],
    )
    assert found.ports == (HostPort("10.0.0.1", "UDP", 8080), HostPort("0.0.0.0", "TCP", 1))


def test_shapes_are_equal_whatever_the_order_of_maps() -> None:
    one = shape(requests={"cpu": "1", "memory": "1Gi"}, nodeSelector={"a": "1", "b": "2"})
    other = shape(requests={"memory": "1Gi", "cpu": "1000m"}, nodeSelector={"b": "2", "a": "1"})
    assert one == other
    assert hash(one) == hash(other)
