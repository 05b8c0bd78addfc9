"""What users say of simulated nodes: the options that `up` and `simulate` share, and what holds without them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from k8slite import programs, quantity
from k8slite.config import ConfigError, SimulatorConfig
from k8slite.labels import key_problems, value_problems

from ..failure import Failure
from .spec import Simulation

TAINT = {"key": "k8slite.io/simulated", "value": "true", "effect": "NoSchedule"}
"""What keeps pods that do not ask for it off simulated nodes."""
CAPACITY: dict[str, str] = SimulatorConfig.model_fields["capacity"].default
OWN_RANGE, JOINED_RANGE = "100.64.0.0/11", "100.96.0.0/11"
"""Pod addresses of a cluster's own simulated nodes, and of those that join a cluster of this machine later."""
MOST_NODES = 10_000
LABEL = "k8slite.io/simulator"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

F = TypeVar("F", bound=Callable[..., Any])


def options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand the command a function that makes a `Simulation` of them and the number of nodes."""

    @click.option("--zones", default="", help="Zones of simulated nodes: how many, or names as a,b,c.")
    @click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label of simulated nodes; repeatable."
    )
    @click.option(
        "--taint", "taints", multiple=True, metavar="KEY=VALUE:EFFECT", help="A taint of simulated nodes; repeatable."
    )
    @click.option("--no-taint", is_flag=True, help="No taint, also beside real nodes.")
    @click.option("--capacity", default="", help="What a simulated node has, as cpu=32,memory=256Gi,pods=110.")
    @click.option(
        "--stages", type=click.Path(path_type=Path), help="What becomes of simulated pods and nodes (a YAML file)."
    )
    @wraps(function)
    def command(
        zones: str,
        labels: tuple[str, ...],
        taints: tuple[str, ...],
        no_taint: bool,
        capacity: str,
        stages: Path | None,
        **arguments: Any,
    ) -> None:
        if taints and no_taint:
            raise Failure("--taint and --no-taint exclude each other")
        chosen = [_taint(text) for text in taints] if taints or no_taint else None

        def wanted(nodes: int) -> Simulation:
            return Simulation(
                nodes=nodes,
                zones=_zones(zones),
                labels=dict(_label(text) for text in labels),
                taints=chosen,
                capacity=dict(_amount(text) for text in capacity.split(",") if text),
                stages_file=_checked(stages),
            )

        function(simulated=wanted, **arguments)

    return command


def check_range(wanted: Simulation) -> None:
    """Raise Failure if the pods of so many nodes have no room in a range for them."""
    pods = quantity.whole((CAPACITY | wanted.capacity)["pods"])
    try:
        programs.entry("k8slite.kubelet.simulated.addresses", "blocks")(OWN_RANGE, nodes=wanted.nodes, pods=pods)
    except ConfigError as error:
        raise Failure(str(error).removeprefix("podCidr: ")) from error


def range_for(name: str, *, nodes: int, pods: int, present: Iterable[Mapping[str, Any]]) -> str:
    """A range for nodes that join a cluster of this machine, apart from those of nodes that are `present`.

    One that only nodes of the same name are in will do: they were left by an earlier run. Raises Failure.
    """
    found = list(present)
    others = [node for node in found if (node["metadata"].get("labels") or {}).get(LABEL) != name]
    block = max(2, (pods + 2).bit_length())
    bits = block + (nodes - 1).bit_length()
    joined = ipaddress.IPv4Network(JOINED_RANGE)
    for taken in (found, others):
        used = {number for node in taken for number in _stretches(node["spec"].get("podCIDR", ""), joined, bits)}
        for number in range(joined.num_addresses >> bits):
            if number not in used:
                return f"{joined.network_address + (number << bits)}/{32 - bits}"
    raise Failure(f"{JOINED_RANGE} has no room left for {nodes} nodes of {pods} pods; --pod-cidr names another range")


def _stretches(cidr: str, within: ipaddress.IPv4Network, bits: int) -> range:
    """Which stretches of 2^`bits` addresses of a range a pod CIDR reaches into."""
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:  # none, or IPv6
        return range(0)
    if not network.overlaps(within):
        return range(0)
    first = int(network.network_address) - int(within.network_address)
    return range(max(0, first) >> bits, ((first + network.num_addresses - 1) >> bits) + 1)


def _zones(text: str) -> list[str]:
    if text.isdecimal():
        number = int(text[:6])
        if not 0 < number <= MOST_NODES:
            raise Failure(f"{text} is no number of zones: 1 to {MOST_NODES}")
        return [f"zone-{each}" for each in range(1, number + 1)]
    found = [name for name in text.split(",") if name]
    for name in found:
        _refuse(name, "zone", value_problems(name))
    return found


def _refuse(text: str, what: str, problems: Sequence[str]) -> None:
    if problems:
        raise Failure(f"{text!r} is no {what}: {problems[0]}")


def _pair(text: str, what: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failure(f"{text!r} is no {what}: write KEY=VALUE")
    _refuse(text, what, key_problems(key))
    return key, value


def _label(text: str) -> tuple[str, str]:
    key, value = _pair(text, "label")
    _refuse(text, "label", value_problems(value))
    return key, value


def _amount(text: str) -> tuple[str, str]:
    name, amount = _pair(text, "capacity")
    try:
        if quantity.parse(amount) < 0:
            raise Failure(f"{text!r} is no capacity: less than nothing")
    except quantity.QuantityError as error:
        raise Failure(f"{text!r} is no capacity: {error}") from error
    return name, amount


def _taint(text: str) -> dict[str, str]:
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    if not key or effect not in _EFFECTS:
        raise Failure(f"{text!r} is no taint: write KEY=VALUE:EFFECT, the effect one of {', '.join(_EFFECTS)}")
    _refuse(text, "taint", (*key_problems(key), *value_problems(value)))
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def _checked(stages: Path | None) -> Path | None:
    """The file, absolute, as the program that reads it runs elsewhere. Raises Failure for one that it would refuse."""
    if stages is None:
        return None
    try:
        programs.entry("k8slite.kubelet.simulated.stages", "load")(stages)
    except ConfigError as error:
        raise Failure(str(error)) from error
    return stages.absolute()
