"""What a pod requests, by resource: millicores of cpu, else whole units."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

Document = dict[str, Any]
Amounts = dict[str, Fraction]

SUFFIXES = {"m": Fraction(1, 1000), "k": 10**3, "M": 10**6, "G": 10**9, "e9": 10**9}
SUFFIXES |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
#: What scores assume where a container says nothing.
ASSUMED = {"cpu": Fraction(1, 10), "memory": Fraction(200 * 2**20)}


def quantity(text: str) -> Fraction:
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return Fraction(text.removesuffix(suffix)) * SUFFIXES[suffix]
    return Fraction(text)


def amounts(listed: Document | None) -> Amounts:
    """The API rounds up what is finer than a thousandth."""
    return {name: Fraction(math.ceil(quantity(text) * 1000), 1000) for name, text in (listed or {}).items()}


def whole(name: str, amount: Fraction) -> int:
    return math.ceil(amount * 1000 if name == "cpu" else amount)


def requested(pod: Document) -> dict[str, int]:
    found = {name: whole(name, amount) for name, amount in total(pod, {}).items()}
    return {name: amount for name, amount in found.items() if amount and known(name)}


def known(name: str) -> bool:
    return name in ("cpu", "memory", "ephemeral-storage") or "/" in name or name.startswith("hugepages-")


def for_its_own_score(pod: Document, name: str) -> int:
    """With assumed amounts for each container that names none."""
    return whole(name, total(pod, ASSUMED).get(name, Fraction(0)))


def for_later_scores(pod: Document, name: str) -> int:
    """The same, but a pod that requests something as a whole is only assumed to take what nobody in it names."""
    assumed = ASSUMED
    if level(pod) is not None:
        plain = total(pod, {})
        assumed = {each: amount for each, amount in ASSUMED.items() if each not in plain}
    return whole(name, total(pod, assumed).get(name, Fraction(0)))


def level(pod: Document) -> Amounts | None:
    listed = amounts(pod["spec"].get("resources", {}).get("requests"))
    found = {name: amount for name, amount in listed.items() if may_be_level(name)}
    return found or None


def may_be_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def total(pod: Document, assumed: Amounts) -> Amounts:
    spec, status = pod["spec"], pod.get("status", {}) if pod["spec"].get("nodeName") else {}
    infeasible = any(
        condition["type"] == "PodResizePending" and condition.get("reason") == "Infeasible"
        for condition in status.get("conditions", [])
    )
    ways = (
        [] if infeasible else [together(pod, assumed, lambda container: container.get("resources", {}).get("requests"))]
    )
    if status.get("allocatedResources") and status.get("resources", {}).get("requests"):
        ways += [amounts(status["allocatedResources"]), amounts(status["resources"]["requests"])]
    else:
        told = {
            each["name"]: each
            for part in ("initContainerStatuses", "containerStatuses")
            for each in status.get(part, [])
        }

        def granted(container: Document) -> Document | None:
            found: Document | None = told.get(container["name"], {}).get("allocatedResources")
            return found or (None if infeasible else asked(container))

        def actual(container: Document) -> Document | None:
            found: Document | None = told.get(container["name"], {}).get("resources", {}).get("requests")
            return found or granted(container)

        ways += [together(pod, assumed, granted), together(pod, assumed, actual)]
    result = largest(*ways)
    mine = level(pod)
    if mine is not None:
        if "resources" in status:
            listed = status["resources"].get("requests"), status.get("allocatedResources")
            mine = largest({} if infeasible else mine, *map(amounts, listed))
        result |= {name: amount for name, amount in mine.items() if may_be_level(name)}
    return plus(result, amounts(spec.get("overhead")))


def asked(container: Document) -> Document | None:
    return container.get("resources", {}).get("requests")


def together(pod: Document, assumed: Amounts, asks: Any) -> Amounts:
    def of(container: Document) -> Amounts:
        return {**assumed, **amounts(asks(container))}

    running: Amounts = {}
    for container in pod["spec"]["containers"]:
        running = plus(running, of(container))
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in pod["spec"].get("initContainers", []):
        peak = largest(peak, plus(sidecars, of(container)))
        if container.get("restartPolicy") == "Always":
            sidecars = plus(sidecars, of(container))
    return largest(plus(running, sidecars), peak)


def plus(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, Fraction(0)) + other.get(name, Fraction(0)) for name in {**one, **other}}


def largest(*several: Amounts) -> Amounts:
    names = {name for each in several for name in each}
    return {name: max(each.get(name, Fraction(0)) for each in several) for name in names}
