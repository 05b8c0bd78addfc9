"""A stand-in for the kernel: takes nft scripts, and walks packets through what they made.

It knows exactly the statements that the proxy writes, and is as strict as the kernel about them: an element deleted
twice, a jump to a chain that is not there, or a chain removed while something leads to it is an error.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Packet:
    source: str
    destination: str
    port: int
    protocol: str = "tcp"
    iif: str = ""
    oif: str = ""
    mark: int = 0


@dataclass
class Verdict:
    """What became of a packet: `reached` is where it goes, or why it does not."""

    reached: str
    masqueraded: bool = False


@dataclass
class Nft:
    """One table."""

    local: frozenset[str] = frozenset()
    draw: Callable[[int], int] = lambda _: 0
    maps: dict[str, dict[str, str]] = field(default_factory=dict)
    chains: dict[str, list[str]] = field(default_factory=dict)

    def run(self, script: str) -> None:
        """One transaction."""
        opened: list[str] = []
        for line in filter(None, map(str.strip, script.splitlines())):
            if opened or line.startswith("table "):
                self._block(line, opened)
            else:
                self._command(*line.split(" ", 3))
        for chain in self.chains.values():
            for target in (target for rule in chain for target in re.findall(r"(?:goto|jump) ([^\s,}]+)", rule)):
                assert target in self.chains, f"jump to missing chain {target}"
        for values in self.maps.values():
            for value in values.values():
                assert not value.startswith("goto ") or value[5:] in self.chains, f"{value}: no such chain"

    def send(
        self,
        packet: Packet,
        *,
        hooks: tuple[str, ...] = ("guard-prerouting", "prerouting", "filter-prerouting", "postrouting"),
    ) -> Verdict:
        """Walk a packet through the hooks."""
        masqueraded = False
        for hook in hooks:
            result = self._walk(hook, packet)
            if result in ("reject", "drop"):
                return Verdict(result)
            masqueraded |= result == "masquerade"
        return Verdict(f"{packet.destination}:{packet.port}", masqueraded)

    def _block(self, line: str, opened: list[str]) -> None:
        one_line = re.fullmatch(r"(map|set) (\S+) \{.*\}", line)
        if one_line:
            self.maps[one_line[2]] = {}
        elif line.endswith("{"):
            kind, name, *_ = line.split()
            opened.append(name)
            if kind == "chain":
                self.chains[name] = []
            elif kind == "map":
                self.maps[name] = {}
        elif line == "}":
            opened.pop()
        elif opened[-1] in self.chains and not line.startswith("type "):
            self.chains[opened[-1]].append(line)

    def _command(self, verb: str, kind: str, _family: str, rest: str) -> None:
        name, _, text = rest.partition(" ")[2].partition(" ")
        match verb, kind:
            case (_, "table"):
                self.maps.clear()
                self.chains.clear()
            case "add", "set":
                assert name not in self.maps, f"set {name} exists"
                self.maps[name] = {}
            case "add", "chain":
                self.chains.setdefault(name, [])
            case "flush", "chain":
                self.chains[name].clear()
            case "add", "rule":
                self.chains[name].append(text)
            case "delete", "chain":
                assert not self.chains.pop(name), f"chain {name} is not empty"
            case "delete", "set":
                del self.maps[name]
            case "add", "element":
                for key, value in _elements(text):
                    assert self.maps[name].get(key, value) == value, f"{name} has {key} already"
                    self.maps[name][key] = value
            case "delete", "element":
                for key, _value in _elements(text):
                    del self.maps[name][key]

    def _walk(self, chain: str, packet: Packet) -> str:
        for rule in self.chains[chain]:
            verdict = self._rule(rule, packet)
            if verdict != "continue":
                return verdict
        return "continue"

    def _rule(self, rule: str, packet: Packet) -> str:
        rest = rule
        while rest:
            for pattern, statement in _STATEMENTS:
                if found := re.match(pattern + r"(?: |$)", rest):
                    rest = rest[found.end() :]
                    outcome = statement(self, packet, *found.groups())
                    break
            else:
                raise AssertionError(f"unknown statement: {rest}")
            if outcome is False:
                return "continue"
            if isinstance(outcome, str):
                return outcome
        return "continue"

    def _goto(self, verdict: str, packet: Packet) -> str:
        return self._walk(verdict.removeprefix("goto ").removeprefix("jump "), packet)


def _elements(text: str) -> list[tuple[str, str]]:
    pairs = [item.partition(" : ") for item in text.strip("{} ").split(", ")]
    return [(key, value) for key, _, value in pairs]


def _inside(address: str, networks: str) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in networks.split(", "))


def _lookup(nft: Nft, packet: Packet, key: str, name: str) -> str | bool:
    verdict = nft.maps[name].get(key)
    return nft._goto(verdict, packet) if verdict else False


def _dnat(nft: Nft, packet: Packet, key: str, count: str, name: str) -> str | bool:
    parts = ([packet.destination] if key.startswith("ip daddr") else []) + [str(packet.port), str(nft.draw(int(count)))]
    found = nft.maps[name].get(" . ".join(parts))
    if found is None:
        return False
    packet.destination, port = found.split(" . ")
    packet.port = int(port)
    return "dnat"


def _dnat_to(_: Nft, packet: Packet, address: str, port: str) -> str:
    packet.destination, packet.port = address, int(port)
    return "dnat"


def _mark(_: Nft, packet: Packet) -> bool:
    packet.mark |= 0x2000
    return True


def _draw(nft: Nft, packet: Packet, count: str, choices: str) -> str:
    return nft._goto(dict(_elements(choices))[str(nft.draw(int(count)))], packet)


_STATEMENTS: list[tuple[str, Callable[..., str | bool]]] = [
    (
        r"ip daddr \. meta l4proto \. th dport vmap @(\S+)",
        lambda n, p, name: _lookup(n, p, f"{p.destination} . {p.protocol} . {p.port}", name),
    ),
    (r"meta l4proto \. th dport vmap @(\S+)", lambda n, p, name: _lookup(n, p, f"{p.protocol} . {p.port}", name)),
    (r"fib daddr type local", lambda n, p: p.destination in n.local),
    (r"ip daddr \{ (.*?) \}", lambda _, p, networks: _inside(p.destination, networks)),
    (r"meta mark set meta mark or 0x2000", _mark),
    (r"meta mark & 0x2000 == 0x2000", lambda _, p: bool(p.mark & 0x2000)),
    (r"dnat ip to ((?:ip daddr \. )?\w+ dport) \. numgen random mod (\d+) map @(\S+)", _dnat),
    (r"dnat ip to ([\d.]+):(\d+)", _dnat_to),
    (r"numgen random mod (\d+) vmap (\{.*\})", _draw),
    (r"update @(\S+) \{ ip saddr \}", lambda n, p, name: n.maps[name].setdefault(p.source, "") == ""),
    (r"ip saddr \. ip daddr @(\S+)", lambda n, p, name: f"{p.source} . {p.destination}" in n.maps[name]),
    (r"ip saddr \{ (.*?) \} return", lambda _, p, networks: "return" if _inside(p.source, networks) else False),
    (r"ip saddr @(\S+)", lambda n, p, name: p.source in n.maps[name]),
    (r"ip saddr != ([\d./]+)", lambda _, p, network: not _inside(p.source, network)),
    (r"ip saddr ([\d./]+)", lambda _, p, network: _inside(p.source, network)),
    (r"ip daddr != ([\d./]+)", lambda _, p, network: not _inside(p.destination, network)),
    (r"ip daddr ([\d./]+)", lambda _, p, network: _inside(p.destination, network)),
    (r'oifname != "(\S+)"', lambda _, p, name: p.oif != name),
    (r'iifname "(\S+)"', lambda _, p, name: p.iif == name),
    (r"meta l4proto (\w+)", lambda _, p, protocol: p.protocol == protocol),
    (r"ct state new", lambda *_: True),
    (r"(?:jump|goto) (\S+)", lambda n, p, name: _none_if_through(n._walk(name, p))),
    (r"masquerade fully-random", lambda *_: "masquerade"),
    (r"(reject|drop)(?: with tcp reset)?", lambda _, __, verdict: verdict),
]


def _none_if_through(verdict: str) -> str | bool:
    return verdict if verdict != "continue" else False
