"""Continue tokens: where a list that comes in pages goes on, and at which revision.

A token is opaque to clients. All pages are read at the first page's revision, so that together they are one
consistent list; once that revision is compacted the answer is 410, with a token that goes on inconsistently.

Source: Kubernetes documentation, "API concepts: retrieving large results sets in chunks".
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import orjson

from k8slite.errors import ApiError, bad_request

_VERSION = "meta.k8s.io/v1"
_LATEST = -1
"""The revision of a token that goes on at the present. Zero would be taken for one that is missing."""


@dataclass(frozen=True, slots=True)
class Position:
    """Go on after `key` (relative to the collection's prefix) at `revision`; 0 is the present."""

    revision: int
    key: str


def encode(position: Position) -> str:
    """The token of a position."""
    # The key where the next page starts is the smallest one after the last that was given.
    revision = position.revision or _LATEST
    text = orjson.dumps({"v": _VERSION, "rv": revision, "start": position.key + "\0"})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(token: str) -> Position:
    """The position of a token. Raises ApiError 400."""
    try:
        data = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        version, revision, start = data["v"], data["rv"], data["start"]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _invalid("") from None
    if version != _VERSION:
        raise _invalid(f": server does not recognize this encoded version {version}")
    if not isinstance(revision, int) or not isinstance(start, str) or not -(1 << 63) <= revision < 1 << 63:
        raise _invalid("")
    if not revision:
        raise _invalid(f": incorrect encoded start resourceVersion (version {_VERSION})")
    if not start:
        raise _invalid(f": encoded start key empty (version {_VERSION})")
    return Position(max(revision, 0), start.removesuffix("\0"))


def _invalid(detail: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid{detail}")


def expired(position: Position) -> ApiError:
    """410 for a token whose revision is compacted; its details carry one that goes on at the present."""
    error = ApiError(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    )
    return _WithContinue.of(error, encode(Position(0, position.key)))


class _WithContinue(ApiError):
    """An error whose Status metadata carries a token."""

    token = ""

    @classmethod
    def of(cls, error: ApiError, token: str) -> _WithContinue:
        made = cls(error.code, error.reason, error.message)
        made.token = token
        return made

    def status(self) -> dict[str, object]:
        """The Status with the token in its metadata."""
        return {**super().status(), "metadata": {"continue": self.token}}
