"""The slow road: a decoded document walked with the facts at hand, as Go's decoder would read it.

It accepts whatever Kubernetes accepts (nulls, times with a zone, quantities such as `1024Mi`), drops what is unknown
or empty, and remembers everything that deserves a word: the first type error, unknown and duplicate fields, missing
fields.

Source: sigs.k8s.io/json (case-sensitive encoding/json) for the order and the words of errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import MOST_CAUSES, Cause, required
from .facts import FieldFacts, TypeFacts
from .scalars import ScalarError, convert, json_type, zero
from .semantics import is_demanded, may_vanish


class DuplicateKeys(dict[str, Any]):
    """A JSON object in which keys were repeated; `repeated` names them, the last value of each counts."""

    repeated: list[str]


def keep_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """`object_pairs_hook` for json.loads: a plain dictionary unless keys repeat."""
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    marked = DuplicateKeys(plain)
    seen: set[str] = set()
    marked.repeated = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    return marked


def may_repeat_keys(body: bytes, encoded: bytes) -> bool:
    """Whether keys were lost on the way in: then the body has more of them than the document, `encoded` again.

    Compact bodies have the document's own length. In others `":` ends every key, and inside a string its quote is
    escaped in both texts alike. A body that puts a space before its colons looks like one with lost keys; whoever reads
    it with `keep_duplicates` then finds that it is not.
    """
    return len(encoded) != len(body) and encoded.count(b'":') != body.count(b'":')


def repeated_fields(value: Any, path: str = "") -> list[str]:
    """What strict decoding says of a document of no known type that was read with `keep_duplicates`."""
    found: list[str] = []
    if isinstance(value, dict):
        if isinstance(value, DuplicateKeys):
            found += [f'duplicate field "{path}{name}"' for name in value.repeated]
        for name, item in value.items():
            found += repeated_fields(item, f"{path}{name}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += repeated_fields(item, f"{path.removesuffix('.')}[{index}].")
    return found


@dataclass(slots=True)
class Findings:
    """What one walk found. `error` is the first type error in Go's words, empty if there is none."""

    error: str = ""
    strict: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)


class TooManyCauses(Exception):
    """More is missing than a refusal names: the rest is not worth the time."""


def walk(document: Any, facts: TypeFacts) -> tuple[dict[str, Any], Findings]:
    """The pruned, canonical document of a kind, and what was found."""
    walker = _Walker()
    if not isinstance(document, dict):
        walker.findings.error = f"json: cannot unmarshal {json_type(document)} into Go value of type {facts.go_name}"
        return {}, walker.findings
    try:
        return walker.structure(document, facts, path="", names=(), demanding=True, root=True), walker.findings
    except TooManyCauses:
        return {}, walker.findings


class _Walker:
    """`path` is for people (`spec.containers[0]`), `names` the stack of field names that Go prints (no indices)."""

    def __init__(self) -> None:
        self.findings = Findings()

    def structure(
        self,
        value: dict[str, Any],
        facts: TypeFacts,
        *,
        path: str,
        names: tuple[str, ...],
        demanding: bool,
        root: bool = False,
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        known, said, of_field = facts.fields, self.findings.strict, {}
        for name, entry in known.items():
            below = demanding and not (root and name == "status")
            given = value.get(name)
            if given is not None:
                place = _Place(facts, entry, _join(path, name), (*names, name), below)
                self.findings.strict = of_field[name] = list[str]()
                found = self._value(given, place, depth=0)
                if found or not may_vanish(entry):
                    result[name] = found
            if below and not result.get(name) and is_demanded(facts, entry):
                self._missing(result, entry, path=_join(path, name))
        self.findings.strict = said
        # Fields are read in the order of the facts, but spoken of in that of the document.
        repeated = value.repeated if isinstance(value, DuplicateKeys) else ()
        for name in value:
            if name in repeated:
                self._strict("duplicate", (_join(path, name),))
            if name not in known:
                self._strict("unknown", (_join(path, name),))
            said += of_field.get(name, ())
        return result

    def _value(self, value: Any, place: _Place, *, depth: int) -> Any:
        entry = place.entry
        if depth < len(entry.shape):
            if entry.shape[depth] == "list":
                if not isinstance(value, list):
                    return self._mismatch(value, place, depth, [])
                return [
                    self._element(item, place.at(f"{place.path}[{index}]"), depth=depth + 1)
                    for index, item in enumerate(value)
                ]
            if not isinstance(value, dict):
                return self._mismatch(value, place, depth, {})
            if isinstance(value, DuplicateKeys):
                self._strict("duplicate", (f"{place.path}.{key}" for key in value.repeated))
            return {
                key: self._element(item, place.at(f"{place.path}.{key}"), depth=depth + 1)
                for key, item in value.items()
            }
        if entry.type is not None:
            if not isinstance(value, dict):
                return self._mismatch(value, place, depth, {})
            return self.structure(value, entry.type, path=place.path, names=place.names, demanding=place.demanding)
        try:
            return convert(entry.scalar, value)
        except ScalarError as error:
            if error.mismatch:
                return self._mismatch(value, place, depth, zero(entry.scalar), found=error.mismatch)
            self._error(str(error))
            return zero(entry.scalar)

    def _element(self, value: Any, place: _Place, *, depth: int) -> Any:
        """An item of a list or a map's value, where null stands for the type's zero."""
        if value is not None:
            return self._value(value, place, depth=depth)
        if depth < len(place.entry.shape):
            return [] if place.entry.shape[depth] == "list" else {}
        if place.entry.type is not None:
            return self._value({}, place, depth=depth)
        return zero(place.entry.scalar)

    def _missing(self, result: dict[str, Any], entry: FieldFacts, *, path: str) -> None:
        """Name the fields that an absent structure would have had to bring, or the field itself."""
        before = len(self.findings.causes)
        if entry.type is not None and not entry.shape and entry.name not in result:
            self.structure({}, entry.type, path=path, names=(), demanding=True)
        elif entry.type is not None and not entry.shape:
            return  # there and empty: what it lacks was named when it was read
        if len(self.findings.causes) == before:
            self.findings.causes.append(required(path))
        if len(self.findings.causes) > MOST_CAUSES:
            raise TooManyCauses

    def _mismatch(self, value: Any, place: _Place, depth: int, fallback: Any, *, found: str = "") -> Any:
        expected = place.entry.go_type
        for step in place.entry.shape[:depth]:
            expected = expected.removeprefix("[]" if step == "list" else "map[string]")
        struct, names = place.facts.struct, ".".join(place.names)
        found = found or json_type(value)
        self._error(f"json: cannot unmarshal {found} into Go struct field {struct}.{names} of type {expected}")
        return fallback

    def _error(self, message: str) -> None:
        self.findings.error = self.findings.error or message

    def _strict(self, what: str, paths: Iterable[str]) -> None:
        self.findings.strict.extend(f'{what} field "{path}"' for path in paths)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk stands: the structure, its field, and the ways to name the spot."""

    facts: TypeFacts
    entry: FieldFacts
    path: str
    names: tuple[str, ...]
    demanding: bool

    def at(self, path: str) -> _Place:
        return _Place(self.facts, self.entry, path, self.names, self.demanding)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
