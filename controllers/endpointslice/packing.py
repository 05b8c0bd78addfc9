"""Putting endpoints into slices with the fewest writes: pure.

An endpoint stays in the slice where it is. New ones go into slices that are written anyway, the fullest first; what is
left goes into the one slice that it fills best; only then come new slices. So slices may stay half full for long:
moving endpoints to fill them would cost every reader in the cluster more than the holes do.

Source: Kubernetes documentation, "EndpointSlices", Distribution; k8s.io/endpointslice/reconciler.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .model import Endpoint, EndpointSlice, Ports


@dataclass(slots=True)
class Draft:
    """A slice as it will be: `item` is what it is now, None for a new one; `write` tells whether it has to be."""

    item: EndpointSlice | None
    ports: Ports
    endpoints: list[Endpoint]
    write: bool = False


@dataclass(frozen=True, slots=True)
class Packing:
    """The slices of one group, and those that hold nothing any more."""

    drafts: list[Draft]
    empty: list[EndpointSlice]


def pack(
    present: Sequence[EndpointSlice],
    wanted: dict[str, Endpoint],
    *,
    ports: Ports,
    limit: int,
    labels: dict[str, str],
    keep_hints: bool = False,
) -> Packing:
    """Place `wanted`, which is used up. With `keep_hints`, endpoints keep the hints they have until told others."""
    drafts, empty = [], []
    for item in present:
        draft = _keep(item, wanted, limit=limit, keep_hints=keep_hints)
        if not draft.endpoints and draft.write:
            empty.append(item)
            continue
        draft.write = draft.write or item.metadata.labels != labels
        drafts.append(draft)
    rest = list(wanted.values())
    if rest:
        for draft in sorted((draft for draft in drafts if draft.write), key=lambda draft: -len(draft.endpoints)):
            _fill(draft, rest, limit)
    while rest:
        fit = _best(drafts, len(rest), limit)
        if fit is None:
            fit = Draft(None, ports, [])
            drafts.append(fit)
        _fill(fit, rest, limit)
        fit.write = True
    return Packing(drafts, empty)


def _keep(item: EndpointSlice, wanted: dict[str, Endpoint], *, limit: int, keep_hints: bool) -> Draft:
    """What of a slice stays in it; taken from `wanted`."""
    draft = Draft(item, item.ports, [])
    stay = draft.endpoints
    for old in item.endpoints:
        identity = old.identity
        new = wanted.get(identity)
        if new is None or len(stay) >= limit:
            draft.write = True
            continue
        del wanted[identity]
        if keep_hints and old.hints is not None and new.ready:
            new = replace(new, hints=old.hints)
        if new != old:
            draft.write = True
            stay.append(new)
        else:
            stay.append(old)  # the one that is there already needs no second place in memory
    return draft


def _fill(draft: Draft, rest: list[Endpoint], limit: int) -> None:
    room = max(limit - len(draft.endpoints), 0)
    draft.endpoints += rest[:room]
    del rest[:room]


def _best(drafts: Sequence[Draft], count: int, limit: int) -> Draft | None:
    """The slice as yet unchanged that takes all of `count` endpoints and is fullest then."""
    fitting = [draft for draft in drafts if not draft.write and len(draft.endpoints) + count <= limit and count < limit]
    return max(fitting, key=lambda draft: len(draft.endpoints), default=None)
