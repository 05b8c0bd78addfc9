"""From targets to nftables, and from one state to the next: pure.

`rules` turns one Service's frontends into map elements and chains. `Ruleset` is the sum over all Services; putting a
Service in says what changed, and `script` writes that as one transaction.

Services with session affinity have chains of their own, one per endpoint with the set of its clients; all others share
the `pick-N` chains that `table` describes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .model import Frontend, Target
from .table import MARK

_SIGN = f"meta mark set meta mark or {MARK:#x}"

ElementKey = tuple[str, str]
"""Map or set, and the key in it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its rules; `clients` names its dynamic set and holds its timeout in seconds, if it has one."""

    name: str
    rules: tuple[str, ...]
    clients: int = 0
    order: int = 0
    """A chain may jump only to chains of a lower order."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one Service needs: map elements with their values, members of sets, chains."""

    elements: Mapping[ElementKey, str] = field(default_factory=dict)
    members: frozenset[ElementKey] = frozenset()
    chains: frozenset[Chain] = frozenset()


@dataclass(slots=True)
class Change:
    """The difference between two states of the kernel's table. A value of None means absent."""

    elements: dict[ElementKey, tuple[str | None, str | None]] = field(default_factory=dict)
    chains: dict[str, tuple[Chain | None, Chain | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.elements or self.chains)


def rules(frontends: Mapping[Frontend, Target]) -> Rules:
    """The rules of one Service."""
    elements: dict[ElementKey, str] = {}
    members: set[ElementKey] = set()
    chains: set[Chain] = set()
    for frontend, target in frontends.items():
        key = f"{frontend.protocol} . {frontend.port}"
        prefix = "inside-" if frontend.inside else "" if frontend.address else "nodeport-"
        key = f"{frontend.address} . {key}" if frontend.address else key
        if target.sources:
            chains.add(_guard(target))
            elements["guarded", key] = f"goto {_guard(target).name}"
        if not target.endpoints:
            elements["refused" if frontend.address else "refused-nodeports", key] = f"goto refuse-{target.refusal}"
            continue
        members.update(("hairpins", f"{each.address} . {each.address}") for each in target.endpoints)
        services = f"{prefix}services" if frontend.address else "nodeports"
        if target.affinity:
            chains.update(_affine(target, frontend.protocol))
            elements[services, key] = f"goto {_affine_name(target)}"
            continue
        count = len(target.endpoints)
        chains.update({_pick(prefix, frontend.protocol, number) for number in {1, count}})
        elements[services, key] = f"goto {_pick_name(prefix, frontend.protocol, count)}"
        number_key = f"{frontend.address} . {frontend.port}" if frontend.address else f"{frontend.port}"
        for number, each in enumerate(target.endpoints):
            endpoints = f"{prefix}endpoints-{frontend.protocol}"
            elements[endpoints, f"{number_key} . {number}"] = f"{each.address} . {each.port}"
    return Rules(elements, frozenset(members), frozenset(chains))


def _guard(target: Target) -> Chain:
    """The chain that lets only some clients through."""
    return Chain(f"guard/{target.name}", (f"ip saddr {{ {', '.join(target.sources)} }} return", "drop"))


def _pick_name(prefix: str, protocol: str, count: int) -> str:
    return f"{prefix}pick-{protocol}-{count}"


def _pick(prefix: str, protocol: str, count: int) -> Chain:
    """The chain that draws one of `count` endpoints.

    A packet that looked its Service up just before a change and draws a number just after it may find no endpoint under
    that number; number 0 is always there.
    """
    key = f"{protocol} dport" if prefix == "nodeport-" else f"ip daddr . {protocol} dport"
    draw = f"{_SIGN} dnat ip to {key} . numgen random mod {count} map @{prefix}endpoints-{protocol}"
    again = () if count == 1 else (f"goto {_pick_name(prefix, protocol, 1)}",)
    return Chain(_pick_name(prefix, protocol, count), (draw, *again), order=0 if count == 1 else 1)


def _affine(target: Target, protocol: str) -> Iterable[Chain]:
    names = {each: f"{_affine_name(target)}/{each.address}/{each.port}" for each in target.endpoints}
    for each, name in names.items():
        update = f"update @{name} {{ ip saddr }}"
        dnat = f"meta l4proto {protocol} dnat ip to {each.address}:{each.port}"
        yield Chain(name, (f"{update} {_SIGN} {dnat}",), clients=target.affinity)
    known = tuple(f"ip saddr @{name} goto {name}" for name in names.values())
    drawn = ", ".join(f"{number} : goto {name}" for number, name in enumerate(names.values()))
    draw = f"numgen random mod {len(names)} vmap {{ {drawn} }}"
    yield Chain(_affine_name(target), (*known, draw), order=1)


def _affine_name(target: Target) -> str:
    # The timeout is part of the name, because that of a set in use cannot be changed.
    return f"affine-{target.affinity}/{target.name}"


class Ruleset:
    """The rules of all Services, and what changed since `take_change` was last called.

    Invariant: the state depends on the Services put in, not on the order in which they came. Where two Services claim
    the same frontend, the one whose key sorts first has it.
    """

    def __init__(self) -> None:
        self.elements: dict[ElementKey, str] = {}
        self.chains: dict[str, Chain] = {}
        self._services: dict[str, Rules] = {}
        self._claims: dict[ElementKey, dict[str, str]] = {}
        self._members: Counter[ElementKey] = Counter()
        self._chains: Counter[Chain] = Counter()
        self._change = Change()

    def put(self, service: str, new: Rules) -> None:
        """Set the rules of a Service; empty rules remove it."""
        old = self._services.pop(service, Rules())
        if new.elements:
            self._services[service] = new
        for key in {**old.elements, **new.elements}:
            claims = self._claims.setdefault(key, {})
            claims.pop(service, None)
            if key in new.elements:
                claims[service] = new.elements[key]
            self._set_element(key, claims[min(claims)] if claims else None)
            if not claims:
                del self._claims[key]
        self._members.update(new.members)
        self._members.subtract(old.members)
        for key in old.members ^ new.members:
            self._set_element(key, "" if self._members[key] > 0 else None)
            if self._members[key] <= 0:
                del self._members[key]
        self._chains.update(new.chains)
        self._chains.subtract(old.chains)
        for chain in (*(old.chains - new.chains), *(new.chains - old.chains)):
            if self._chains[chain] > 0:
                self._set_chain(chain.name, chain)
            else:
                del self._chains[chain]
                if self.chains.get(chain.name) == chain:
                    self._set_chain(chain.name, None)

    def take_change(self) -> Change:
        """What changed since the last call."""
        change, self._change = self._change, Change()
        change.elements = {key: pair for key, pair in change.elements.items() if pair[0] != pair[1]}
        change.chains = {name: pair for name, pair in change.chains.items() if pair[0] != pair[1]}
        return change

    def whole(self) -> Change:
        """The change that leads from an empty table to this state."""
        return Change(
            {key: (None, value) for key, value in self.elements.items()},
            {name: (None, chain) for name, chain in self.chains.items()},
        )

    def _set_element(self, key: ElementKey, value: str | None) -> None:
        before = self._change.elements.get(key, (self.elements.get(key),))[0]
        self._change.elements[key] = (before, value)
        if value is None:
            self.elements.pop(key, None)
        else:
            self.elements[key] = value

    def _set_chain(self, name: str, chain: Chain | None) -> None:
        before = self._change.chains.get(name, (self.chains.get(name),))[0]
        self._change.chains[name] = (before, chain)
        if chain is None:
            self.chains.pop(name, None)
        else:
            self.chains[name] = chain


def script(table: str, change: Change) -> str:
    """One transaction: new chains before what leads to them, old ones after nothing does any more."""
    lines: list[str] = []
    arriving = sorted((new for _, new in change.chains.values() if new), key=lambda chain: (chain.order, chain.name))
    leaving = sorted(
        (old for old, new in change.chains.values() if old and not new), key=lambda chain: (-chain.order, chain.name)
    )
    for chain in arriving:
        if chain.clients:
            shape = f"type ipv4_addr; flags dynamic,timeout; timeout {chain.clients}s;"
            lines.append(f"add set ip {table} {chain.name} {{ {shape} }}")
        lines.append(f"add chain ip {table} {chain.name}")
        if change.chains[chain.name][0]:
            lines.append(f"flush chain ip {table} {chain.name}")
        lines += (f"add rule ip {table} {chain.name} {rule}" for rule in chain.rules)
    lines += _elements("delete", table, ((key, "") for key, (old, _) in change.elements.items() if old is not None))
    lines += _elements("add", table, ((key, new) for key, (_, new) in change.elements.items() if new is not None))
    lines += (f"flush chain ip {table} {chain.name}" for chain in leaving)
    lines += (f"delete chain ip {table} {chain.name}" for chain in leaving)
    lines += (f"delete set ip {table} {chain.name}" for chain in leaving if chain.clients)
    return "".join(f"{line}\n" for line in lines)


def _elements(verb: str, table: str, elements: Iterable[tuple[ElementKey, str]]) -> Iterable[str]:
    grouped: dict[str, list[str]] = {}
    for (name, key), value in elements:
        grouped.setdefault(name, []).append(f"{key} : {value}" if value else key)
    for name, texts in grouped.items():
        yield f"{verb} element ip {table} {name} {{ {', '.join(texts)} }}"
