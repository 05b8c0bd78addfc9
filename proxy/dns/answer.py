"""Which records answer a question: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .records import pod_record
from .zone import Record, Zone

_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Question:
    """A name in lower case without the final dot, and a type such as `A`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say. An answer without records is one that names the zone's SOA, so that it can be cached."""

    rcode: Literal["NOERROR", "NXDOMAIN"] = "NOERROR"
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    elsewhere: str = ""
    """A name outside the zone at which a chain of CNAMEs ended: somebody else knows the rest."""


def answer(question: Question, zone: Zone) -> Answer:
    """Answer a question for a name that the zone covers."""
    name = question.name
    records: list[Record] = []
    found: Mapping[str, tuple[Record, ...]] = {}
    for _ in range(_LONGEST_CHAIN):
        looked_up = _find(name, zone)
        if looked_up is None:
            # Of a chain, the last link decides; its beginning is still told.
            return Answer("NXDOMAIN", tuple(records), authority=(_soa(zone),))
        found = looked_up
        aliases = found.get("CNAME", ())
        if question.type == "CNAME" or not aliases:
            break
        records += aliases
        name = aliases[0].data.rstrip(".")
        if not zone.covers(name):
            return Answer(records=tuple(records), elsewhere=name)
    if question.type == "ANY":
        records += (record for kind in found.values() for record in kind)
    elif question.type == "SOA" and name == zone.domain:
        records.append(_soa(zone))
    else:
        records += found.get(question.type, ())
    if not records or records[-1].type == "CNAME" != question.type:
        return Answer(records=tuple(records), authority=(_soa(zone),))
    return Answer(records=tuple(records), additional=_targets(records, zone))


def _find(name: str, zone: Zone) -> dict[str, tuple[Record, ...]] | None:
    if (pod := pod_record(name, domain=zone.domain)) is not None:
        return {pod.type: (pod,)}
    if name in (f"pod.{zone.domain}", zone.domain):
        return {kind: tuple(records) for kind, records in (zone.find(name) or {}).items()}
    found = zone.find(name)
    if found is None:
        return None
    # A type of "" marks a name that exists without records.
    return {kind: tuple(records) for kind, records in found.items() if kind}


def _targets(records: list[Record], zone: Zone) -> tuple[Record, ...]:
    """The addresses of the hosts that SRV records name, so that the client need not ask again."""
    hosts = sorted({record.data.split()[3].rstrip(".") for record in records if record.type == "SRV"})
    found = [zone.find(host) or {} for host in hosts]
    return tuple(record for each in found for kind in ("A", "AAAA") for record in each.get(kind, ()))


def _soa(zone: Zone) -> Record:
    domain = zone.domain
    data = f"ns.dns.{domain}. hostmaster.{domain}. {zone.generation} 7200 1800 86400 5"
    return Record(domain, "SOA", data)
