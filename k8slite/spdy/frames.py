"""SPDY/3.1 frames: bytes in, frames out, and back. Pure; the compression of headers makes a codec stateful.

Source: SPDY Protocol, draft 3.1, "Framing Layer".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

_VERSION = 3
_FIN = 1
_HEAD = 8
_CONTROL_LIMIT = 64 * 1024
"""Bytes of a control frame, and of its headers unpacked: a small frame may unpack to very much."""
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
_DATA_LIMIT = (1 << 24) - 1

_WORDS = (
    "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age|allow"
    "|authorization|cache-control|connection|content-base|content-encoding|content-language|content-length"
    "|content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match"
    "|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma"
    "|proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade"
    "|user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie"
    "|keep-alive|origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS.split("|")) + _TAIL.encode()
"""What both ends' compression of headers starts from."""


class SpdyError(Exception):
    """The peer broke the protocol; the connection is of no use any more."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """A stream begins; names of headers are lower case. `fin`: its sender will send nothing on it."""

    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    """The peer takes a stream."""

    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream. A frame may be read in several parts; the last has its `fin`."""

    stream: int
    payload: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """A stream ends at once, both ways."""

    stream: int
    status: int = 5
    """CANCEL, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Ping:
    """To be sent back as it is."""

    number: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """No more streams are taken."""

    last: int
    status: int = 0


Frame = SynStream | SynReply | Data | Reset | Ping | GoAway


class Codec:
    """One end of one connection. Frames that Kubernetes has no use for (settings, windows) are read and dropped."""

    def __init__(self) -> None:
        self._pack = zlib.compressobj(zdict=DICTIONARY)
        self._unpack = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = bytearray()
        self._stream = 0
        self._fin = False
        self._due = 0
        """Bytes of the data frame under way that have not come yet."""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` brings. Raises SpdyError."""
        self._buffer += data
        found: list[Frame] = []
        while True:
            if self._due:
                if not self._buffer:
                    return found
                payload = bytes(self._buffer[: self._due])
                del self._buffer[: len(payload)]
                self._due -= len(payload)
                found.append(Data(self._stream, payload, self._fin and not self._due))
                continue
            if len(self._buffer) < _HEAD:
                return found
            first, second = struct.unpack_from(">II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if not first & 0x80000000:
                del self._buffer[:_HEAD]
                self._stream, self._fin, self._due = first, bool(flags & _FIN), length
                if not length and self._fin:
                    found.append(Data(first, b"", True))
                continue
            if length > _CONTROL_LIMIT:
                raise SpdyError(f"control frame of {length} bytes")
            if len(self._buffer) < _HEAD + length:
                return found
            body = bytes(self._buffer[_HEAD : _HEAD + length])
            del self._buffer[: _HEAD + length]
            if (first >> 16) & 0x7FFF != _VERSION:
                raise SpdyError(f"SPDY version {(first >> 16) & 0x7FFF}")
            if (frame := self._control(first & 0xFFFF, flags, body)) is not None:
                found.append(frame)

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        fin = bool(flags & _FIN)
        try:
            match kind:
                case 1:
                    return SynStream(_number(body, 0), self._unpacked(body[10:]), fin)
                case 2:
                    return SynReply(_number(body, 0), self._unpacked(body[4:]), fin)
                case 3:
                    return Reset(_number(body, 0), _number(body, 4))
                case 6:
                    return Ping(struct.unpack_from(">I", body)[0])
                case 7:
                    return GoAway(_number(body, 0), _number(body, 4))
                case 8:
                    # Later headers mean nothing to Kubernetes, but both ends' compression goes through them.
                    self._unpacked(body[4:])
                    return Data(_number(body, 0), b"", True) if fin else None
        except struct.error as error:
            raise SpdyError(f"control frame {kind} is cut off") from error
        return None

    def _unpacked(self, block: bytes) -> dict[str, str]:
        try:
            data = self._unpack.decompress(block, _CONTROL_LIMIT)
        except zlib.error as error:
            raise SpdyError(f"headers cannot be unpacked: {error}") from error
        if self._unpack.unconsumed_tail:
            raise SpdyError("headers are too large")
        headers: dict[str, str] = {}
        count, position = _number(data, 0), 4
        for _ in range(count):
            name, position = _text(data, position)
            value, position = _text(data, position)
            headers[name.lower()] = value
        return headers

    def encode(self, frame: Frame) -> bytes:
        """A frame's bytes. Frames with headers must be sent in the order in which they were encoded."""
        match frame:
            case Data(stream, payload, fin):
                pieces = []
                for start in range(0, max(len(payload), 1), _DATA_LIMIT):
                    part = payload[start : start + _DATA_LIMIT]
                    flags = _FIN if fin and start + len(part) >= len(payload) else 0
                    pieces.append(struct.pack(">II", stream, flags << 24 | len(part)) + part)
                return b"".join(pieces)
            case SynStream(stream, headers, fin):
                return _framed(_SYN_STREAM, fin, struct.pack(">IIH", stream, 0, 0) + self._packed(headers))
            case SynReply(stream, headers, fin):
                return _framed(_SYN_REPLY, fin, struct.pack(">I", stream) + self._packed(headers))
            case Reset(stream, status):
                return _framed(_RST_STREAM, False, struct.pack(">II", stream, status))
            case Ping(number):
                return _framed(_PING, False, struct.pack(">I", number))
            case GoAway(last, status):
                return _framed(_GOAWAY, False, struct.pack(">II", last, status))

    def _packed(self, headers: Mapping[str, str]) -> bytes:
        pieces = [struct.pack(">I", len(headers))]
        for pair in headers.items():
            for text in (pair[0].lower(), pair[1]):
                encoded = text.encode()
                pieces += struct.pack(">I", len(encoded)), encoded
        return self._pack.compress(b"".join(pieces)) + self._pack.flush(zlib.Z_SYNC_FLUSH)


def _framed(kind: int, fin: bool, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, (_FIN if fin else 0) << 24 | len(body)) + body


def _number(data: bytes, position: int) -> int:
    return int(struct.unpack_from(">I", data, position)[0]) & 0x7FFFFFFF


def _text(data: bytes, position: int) -> tuple[str, int]:
    end = position + 4 + _number(data, position)
    if end > len(data):
        raise SpdyError("headers are cut off")
    return data[position + 4 : end].decode("utf-8", "replace"), end
