"""Whether a write fits into a namespace's quotas, and what it adds to each.

Pure: what is used already, and by how much that rises, are arguments.

Source: Kubernetes' apiserver, admission/plugin/resourcequota/controller.go (CheckRequest).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from k8slite.usage.amounts import Amount, Amounts
from k8slite.usage.measures import Measure, Quota
from k8slite.usage.scopes import Requirement

Document = Mapping[str, Any]


class Refused(Exception):
    """The write does not fit; the text says why."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What may only be used where a quota covers it: resources whose name contains a text, or objects in a scope."""

    contains: tuple[str, ...] = ()
    scopes: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A write: the object as it will be and (of an update) as it was. `judged` is False where a rise is only noted."""

    measure: Measure
    new: Document
    old: Document | None
    now: datetime
    judged: bool = True
    limited: tuple[Limited, ...] = ()
    covered_scopes: tuple[Requirement, ...] = ()
    """Scopes that need a quota wherever an object is in them, whatever its kind."""
    charged: Mapping[str, Amounts] = field(default_factory=dict)
    """What this request was charged already, when it was decided on an older state, by the quota's name."""


def evaluate(request: Request, quotas: Sequence[Quota]) -> dict[str, Amounts]:
    """What each quota's `used` rises by, by the quota's name. Raises Refused."""
    concerned = [(quota, names) for quota in quotas if (names := _concerned(request, quota))]
    for quota, names in concerned:
        if problem := request.measure.problem(names, request.new):
            raise Refused(f"failed quota: {quota.name}: {problem}")
        if any(name not in quota.used for name in names):
            raise Refused(f"status unknown for quota: {quota.name}, resources: {','.join(sorted(names))}")
    usage = request.measure.usage(request.new, request.now)
    if negative := sorted(name for name, value in usage.items() if value.value < 0):
        raise Refused(f"quota usage is negative for resource(s): {','.join(negative)}")
    before = request.measure.usage(request.old, request.now) if request.old is not None else {}
    rise = _rise(usage, before)
    # What comes into a quota's scope with this update is all new there.
    added = {
        quota.name: rise if request.old is None or request.measure.matches(quota.scopes, request.old) else usage
        for quota, _ in concerned
    }
    if not any(added.values() if concerned else [rise]):
        return {}
    _check_covered(request, quotas, usage=usage, names={name for _, names in concerned for name in names})
    rises = {}
    for quota, names in concerned:
        counted = _rise(added[quota.name], request.charged.get(quota.name, {}))
        if own := {name: counted[name] for name in names if name in counted}:
            rises[quota.name] = own
            if request.judged:
                _check(quota, own)
    return rises


def _concerned(request: Request, quota: Quota) -> list[str]:
    """The names by which a quota counts the object, none if it is outside its scopes."""
    names = request.measure.names(quota.hard)
    return names if names and request.measure.matches(quota.scopes, request.new) else []


def _rise(usage: Amounts, before: Amounts) -> Amounts:
    found = {}
    for name, value in usage.items():
        more = value - before[name] if name in before else value
        if more.value > 0:
            found[name] = more
    return found


def _check(quota: Quota, rise: Amounts) -> None:
    over = sorted(name for name, more in rise.items() if (quota.used[name] + more).value > quota.hard[name].value)
    if over:
        requested, used, limited = (_listed(amounts, over) for amounts in (rise, quota.used, quota.hard))
        raise Refused(f"exceeded quota: {quota.name}, requested: {requested}, used: {used}, limited: {limited}")


def _check_covered(request: Request, quotas: Sequence[Quota], *, usage: Amounts, names: Collection[str]) -> None:
    """What the configuration limits must be covered by some quota."""
    wanted = {
        name
        for limited in request.limited
        for name, value in usage.items()
        if value.value > 0 and any(text in name for text in limited.contains)
    }
    if missing := sorted(wanted - set(names)):
        raise Refused(f"insufficient quota to consume: {','.join(missing)}")
    in_scope = [scope for scope in request.covered_scopes if request.measure.scope(scope, request.new)]
    if not in_scope:
        return
    covered = {s.scope for quota in quotas for s in quota.scopes if request.measure.scope(s, request.new)}
    if uncovered := [scope for scope in in_scope if scope.scope not in covered]:
        shown = " ".join(f"{{{one.scope} {one.operator} [{' '.join(sorted(one.values))}]}}" for one in uncovered)
        raise Refused(f"insufficient quota to match these scopes: [{shown}]")


def _listed(amounts: Mapping[str, Amount], names: Sequence[str]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in names)
