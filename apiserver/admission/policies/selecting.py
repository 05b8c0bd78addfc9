"""From the policies that are about a request to what is to be evaluated: each policy with each binding and parameter.

Source: Kubernetes' apiserver, pkg/admission/plugin/policy/generic/policy_dispatcher.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from k8slite.errors import ApiError

from ...registry import Registry
from ...strategies.base import Document
from ..base import Admission
from ..matching import LabelsOf, Match
from .configured import Binding, Concerned, Policy
from .params import ParamError, collect, kind_behind

Compiled = TypeVar("Compiled")


@dataclass(frozen=True, slots=True)
class Invocation(Generic[Compiled]):
    """A policy to be evaluated with one parameter (None: without) for a binding."""

    policy: Policy[Compiled]
    match: Match
    binding: Binding
    param: Document | None


@dataclass(frozen=True, slots=True)
class Problem(Generic[Compiled]):
    """Why a policy (or, if there is one, its binding) cannot be evaluated for a request."""

    policy: Policy[Compiled]
    binding: Binding | None
    detail: str


async def select(
    registry: Registry, admission: Admission, concerned: Iterable[Concerned[Compiled]]
) -> list[Invocation[Compiled] | Problem[Compiled]]:
    """What is to be evaluated, in order: of the policies and bindings whose selectors select the request."""
    labels_of = _labels_in(registry)
    found: list[Invocation[Compiled] | Problem[Compiled]] = []
    for policy, match, bindings in ((one.policy, one.match, one.bindings) for one in concerned):
        try:
            if not policy.matcher.selectors.match(admission, labels_of):
                continue
            resource = kind_behind(registry, policy.param_kind)
        except (ApiError, ParamError) as error:
            found.append(Problem(policy, None, f"failed to configure policy: {error}"))
            continue
        for binding in bindings:
            try:
                if binding.matcher is None or binding.matcher.selectors.match(admission, labels_of):
                    params = await collect(registry, admission, resource=resource, binding=binding)
                    found += [Invocation(policy, match, binding, param) for param in params]
            except (ApiError, ParamError) as error:
                found.append(Problem(policy, binding, f"failed to configure binding: {error}"))
    return found


def _labels_in(registry: Registry) -> LabelsOf:
    rows = registry.cache.resource("", "namespaces")

    def labels_of(name: str) -> Mapping[str, str] | None:
        entry = rows.get("", name)
        return entry.labels if entry is not None else None

    return labels_of
