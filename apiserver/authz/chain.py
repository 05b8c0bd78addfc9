"""The authorizers in their order, and the refusal as Kubernetes words it."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.errors import ApiError, forbidden, internal

from ..authn.base import User
from .base import Attributes, Authorizer, Decision, Held, Reason, fault_of

MASTERS = "system:masters"


class Masters:
    """Members of `system:masters` may do everything: the way in when RBAC itself is broken."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """ALLOW for the group, no opinion otherwise."""
        if MASTERS in attributes.user.groups:
            return Decision.ALLOW, ""
        return Decision.NO_OPINION, ""


class Chain:
    """Asks each authorizer until one has an opinion; the reasons of those without one are kept for people."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """The first opinion, or NO_OPINION with all reasons."""
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision, reason = await authorizer.authorize(attributes)
            if decision is not Decision.NO_OPINION:
                return decision, reason
            if reason or type(reason) is not str:  # one that is empty may be of a fault
                reasons.append(reason)
        return Decision.NO_OPINION, _together(reasons)

    async def require(self, attributes: Attributes) -> None:
        """Pass, or raise ApiError 403."""
        decision, reason = await self.authorize(attributes)
        if decision is not Decision.ALLOW:
            raise denial(attributes, reason)

    def held(self, user: User, namespace: str) -> Held:
        """The rules of a user in a namespace, of all authorizers that can tell."""
        parts = [authorizer.held(user, namespace) for authorizer in self._authorizers if hasattr(authorizer, "held")]
        return Held(
            [rule for part in parts for rule in part.rules],
            list(dict.fromkeys(problem for part in parts for problem in part.problems)),
            any(part.incomplete for part in parts),
        )

    async def close(self) -> None:
        """Let go of connections."""
        for authorizer in self._authorizers:
            if hasattr(authorizer, "close"):
                await authorizer.close()


def _together(reasons: Sequence[str]) -> str:
    text = "\n".join(filter(None, reasons))
    faults = [fault for fault in map(fault_of, reasons) if fault]
    return Reason(text, fault="; ".join(faults)) if faults else text


def denial(attributes: Attributes, reason: str = "") -> ApiError:
    """The 403 for a request; a 500 if it might have been allowed, had everybody been asked."""
    if fault := fault_of(reason):
        return internal(f"Internal error occurred: {fault}")
    detail = _cannot(attributes) + (f": {reason}" if reason else "")
    return forbidden(attributes.resource, attributes.name, detail, group=attributes.group)


def _cannot(attributes: Attributes) -> str:
    start = f'User "{attributes.user.name}" cannot {attributes.verb}'
    if not attributes.is_resource:
        return f'{start} path "{attributes.path}"'
    resource = attributes.resource + (f"/{attributes.subresource}" if attributes.subresource else "")
    place = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return f'{start} resource "{resource}" in API group "{attributes.group}" {place}'
