"""Between the wire and `Question` and `Answer`; dnspython knows the format."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from .answer import Answer, Question
from .zone import TTL, Record

EDNS_PAYLOAD = 1232
"""Largest UDP message we announce and send: what passes every path unfragmented (DNS Flag Day 2020)."""

SMALLEST_LIMIT = 512
"""Bytes that every client takes over UDP."""

_HEADER = struct.Struct("!HHHHHH")
_QR, _TC, _RD = 0x8000, 0x0200, 0x0100


class Malformed(Exception):
    """The bytes are no DNS query that could be answered at all."""


def parse(query: bytes) -> dns.message.Message:
    """Decode a query. Raises Malformed, then `refusal` says something to the client, if anything can be said."""
    try:
        message = dns.message.from_wire(query, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(str(error)) from error
    if len(message.question) != 1 or message.flags & dns.flags.QR or message.opcode() != dns.opcode.QUERY:
        raise Malformed("not one question")
    return message


def question(message: dns.message.Message) -> Question | None:
    """The question, or None if its class is not IN."""
    asked = message.question[0]
    if asked.rdclass not in (dns.rdataclass.IN, dns.rdataclass.ANY):
        return None
    name = asked.name.to_text(omit_final_dot=True).lower()
    return Question(name, dns.rdatatype.to_text(asked.rdtype))


def limit(message: dns.message.Message, *, stream: bool) -> int:
    """How many bytes the answer may have."""
    if stream:
        return 65535
    return min(max(message.payload, SMALLEST_LIMIT), EDNS_PAYLOAD) if message.edns >= 0 else SMALLEST_LIMIT


def encode(message: dns.message.Message, answer: Answer, *, stream: bool, rotation: int = 0) -> bytes:
    """The response to a query; truncated if it is longer than the client can take."""
    response = dns.message.make_response(message, recursion_available=True, our_payload=EDNS_PAYLOAD)
    response.flags |= dns.flags.AA
    response.set_rcode(dns.rcode.from_text(answer.rcode))
    asked = message.question[0].name
    response.answer = _rrsets(answer.records, asked=asked, rotation=rotation)
    response.authority = _rrsets(answer.authority, asked=asked)
    response.additional = _rrsets(answer.additional, asked=asked)
    largest = limit(message, stream=stream)
    for section in (response.additional, response.answer):
        try:
            return response.to_wire(max_size=largest, want_shuffle=False)
        except dns.exception.TooBig:
            section.clear()
            if section is response.answer:
                response.flags |= dns.flags.TC
    return response.to_wire(max_size=max(largest, SMALLEST_LIMIT))


def refusal(query: bytes, rcode: str) -> bytes | None:
    """A response without records to whatever that was; None if it had better get none."""
    if len(query) < _HEADER.size:
        return None
    identity, flags, *_ = _HEADER.unpack_from(query)
    if flags & _QR:
        return None
    code = int(dns.rcode.from_text(rcode))
    return _HEADER.pack(identity, _QR | 0x80 | (flags & (0x7800 | _RD)) | code, 0, 0, 0, 0)


def failure(message: dns.message.Message, rcode: str) -> bytes:
    """A response without records that repeats the question."""
    response = dns.message.make_response(message, recursion_available=True, our_payload=EDNS_PAYLOAD)
    response.set_rcode(dns.rcode.from_text(rcode))
    return response.to_wire()


def fit(response: bytes, message: dns.message.Message, *, stream: bool) -> bytes:
    """A response of another server, cut to the question and the TC flag if the client cannot take all of it."""
    if len(response) <= limit(message, stream=stream):
        return response
    cut = dns.message.make_response(message, recursion_available=True, our_payload=EDNS_PAYLOAD)
    cut.flags |= dns.flags.TC
    return cut.to_wire()


def is_truncated(response: bytes) -> bool:
    """Whether the TC flag is set."""
    return len(response) > 3 and bool(int.from_bytes(response[2:4]) & _TC)


def _rrsets(records: Iterable[Record], *, asked: dns.name.Name, rotation: int = 0) -> list[dns.rrset.RRset]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for record in records:
        grouped.setdefault((record.name, record.type), []).append(record.data)
    spelled = asked.to_text(omit_final_dot=True)
    result = []
    for (name, kind), texts in grouped.items():
        shift = rotation % len(texts)
        turned = texts[shift:] + texts[:shift]
        # The client's own spelling: some use the case of letters as a check against forged answers.
        owner = spelled if spelled.lower() == name else name
        result.append(dns.rrset.from_text_list(f"{owner}.", TTL, "IN", kind, turned))
    return result


def answers(response: bytes, query: bytes) -> bool:
    """Whether a response is one to this very query: same identity, same question."""
    if len(response) < _HEADER.size or response[:2] != query[:2] or not response[2] & 0x80:
        return False
    end = _question_end(query)
    if response[4:6] == b"\0\0":
        # Some servers leave the question out of a refusal.
        return bool(response[3] & 0x0F)
    return response[_HEADER.size : end].lower() == query[_HEADER.size : end].lower()


def lifetime(response: bytes) -> float:
    """Seconds for which a response may be kept: of its shortest-lived record, or the SOA of a negative one; or 0."""
    try:
        message = dns.message.from_wire(response, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return 0.0
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or message.flags & dns.flags.TC:
        return 0.0
    rrsets = message.answer or message.authority
    return float(min((rrset.ttl for rrset in rrsets), default=0))


def _question_end(query: bytes) -> int:
    position = _HEADER.size
    while position < len(query) and query[position]:
        position += query[position] + 1
    return position + 5


def query(name: str, kind: str) -> bytes:
    """A query of our own."""
    return dns.message.make_query(f"{name}.", kind, use_edns=0, payload=EDNS_PAYLOAD).to_wire()


def records(response: bytes) -> tuple[str, tuple[Record, ...]]:
    """The code and the answer section of a response."""
    try:
        message = dns.message.from_wire(response, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return "SERVFAIL", ()
    found = [
        Record(rrset.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(rrset.rdtype), rdata.to_text())
        for rrset in message.answer
        for rdata in rrset
    ]
    return dns.rcode.to_text(message.rcode()), tuple(found)


def rcode_text(code: int) -> str:
    """`NOERROR` and so on."""
    return dns.rcode.to_text(dns.rcode.Rcode(code))
