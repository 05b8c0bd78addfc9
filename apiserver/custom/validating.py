"""Values against a schema: OpenAPI v3 validation with the words and field paths of Kubernetes.

A schema is compiled into `Rules` once. On an update, a problem in a part that did not change is not held against the
change (ratcheting): objects that were valid once can still be written when the schema has become stricter.

Source: kube-openapi, pkg/validation/validate; apiextensions-apiserver, apiserver/validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from k8slite.errors import MOST_CAUSES, Cause, invalid_value, required, type_invalid

from . import formats
from .numbers import problems as number_problems

MISSING: Any = object()
"""Stands for the old value where there is none to compare with."""
_EXACT = 2**53 - 1
"""The largest whole number that a float is believed to be."""
_NONE: frozenset[str] = frozenset()
_MOST_WORDS = 250
"""Values of an enumeration that a cause names."""
_WORDS = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}


class Rules:
    """One place of a schema, compiled. `check` is the entry. There may be a million of them."""

    __slots__ = (
        *("_additional", "_all", "_any", "_atomic", "_closed", "_enum", "_format", "_items", "_keys", "_not"),
        *("_nullable", "_numbers", "_one", "_pattern", "_properties", "_raw", "_required", "_types", "_words"),
    )

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._types: tuple[str, ...] = (raw["type"],) if raw.get("type") else ()
        if raw.get("x-kubernetes-int-or-string"):
            self._types = ("integer", "string")
        self._nullable = bool(raw.get("nullable"))
        self._format = formats.known(raw.get("format") or "", self._types)
        self._enum: Sequence[Any] = raw.get("enum") or ()
        self._words = frozenset(each for each in self._enum if isinstance(each, str)) if self._enum else _NONE
        self._raw = raw
        self._numbers = any(name in raw for name in ("minimum", "maximum", "multipleOf")) or bool(self._format)
        self._pattern: str = raw.get("pattern") or ""
        self._required: tuple[str, ...] = tuple(raw.get("required") or ())
        self._properties = {name: Rules(each) for name, each in (raw.get("properties") or {}).items()}
        additional = raw.get("additionalProperties")
        self._additional = Rules(additional) if isinstance(additional, dict) else None
        self._closed = additional is False
        items = raw.get("items")
        self._items = Rules(items) if isinstance(items, dict) else None
        self._keys: tuple[str, ...] = ()
        if raw.get("x-kubernetes-list-type") == "map":
            self._keys = tuple(raw.get("x-kubernetes-list-map-keys") or ())
        self._atomic = raw.get("x-kubernetes-map-type") == "atomic"
        self._all = tuple(Rules(each) for each in raw["allOf"]) if raw.get("allOf") else ()
        self._any = tuple(Rules(each) for each in raw["anyOf"]) if raw.get("anyOf") else ()
        self._one = tuple(Rules(each) for each in raw["oneOf"]) if raw.get("oneOf") else ()
        self._not = Rules(raw["not"]) if isinstance(raw.get("not"), dict) else None

    def member(self, name: str) -> Rules | None:
        """The rules of a named member."""
        return self._properties.get(name)

    def check(self, value: Any, old: Any = MISSING, *, prefix: str = "") -> list[Cause]:
        """What is wrong with a value. `prefix` is the field that it stands in, if it is not a whole object."""
        found = _Found(prefix)
        self._check(value, old, "", found)
        return list(dict.fromkeys(found.causes))

    def _check(self, value: Any, old: Any, path: str, found: _Found) -> None:
        """A value and everything below; forgives what did not change."""
        before = len(found.causes)
        self._apply(value, old, path, found)
        if len(found.causes) > before and old is not MISSING and same(old, value):
            del found.causes[before:]

    def _apply(self, value: Any, old: Any, path: str, found: _Found) -> None:
        self._type(value, path, found)
        if value is None:
            self._one_of_enum(value, path, found)
            return
        self._combined(value, old, path, found)
        if isinstance(value, str):
            self._string(value, path, found)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            if self._numbers:
                number = number_problems(value, self._raw, self._types, self._format, path)
                found.matches += not number
                for problem in number:
                    found.invalid(path, problem.value, problem.text, misplaced=problem.misplaced)
            found.matches += 1
        elif isinstance(value, list):
            self._list(value, old, path, found)
        self._one_of_enum(value, path, found)
        if isinstance(value, dict):
            self._object(value, old, path, found)
        found.matches += 1

    def _type(self, value: Any, path: str, found: _Found) -> None:
        if not self._types and not self._format:
            return
        expected = ",".join(self._types)
        if value is None:
            if self._types and not self._nullable:
                found.type(path, "null", expected)
            return
        kind = _WORDS[type(value)]
        if kind == "integer" and not -(2**63) <= value < 2**63:
            kind = "number"
        whole = isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT and "integer" in self._types
        fits = kind in self._types or whole or (kind == "integer" and "number" in self._types)
        if self._format and not isinstance(value, (str, list)) and not fits:
            found.type(path, {"integer": "int64", "number": "double"}.get(kind, ""), self._format)
        elif self._format and isinstance(value, (str, list)) and not {"number", "integer"} & set(self._types):
            found.matches += 2
        elif not fits:
            found.type(path, kind, expected)
        else:
            found.matches += 2

    def _one_of_enum(self, value: Any, path: str, found: _Found) -> None:
        if not self._enum or (isinstance(value, str) and value in self._words):
            return
        if isinstance(value, str) or not any(same(value, each) for each in self._enum):
            found.not_supported(path, value, self._enum)

    def _string(self, value: str, path: str, found: _Found) -> None:
        raw = self._raw
        if (limit := raw.get("maxLength")) is not None and len(value) > limit:
            found.too_long(path, limit)
        elif (least := raw.get("minLength")) is not None and len(value) < least:
            found.invalid(path, value, f"{path} in body should be at least {least} chars long")
        elif self._pattern and not formats.matches(self._pattern, value):
            found.invalid(path, value, f"{path} in body should match '{self._pattern}'")
        else:
            found.matches += 1
        if self._format and not formats.check(self._format, value):
            found.type(path, value, self._format)

    def _list(self, value: list[Any], old: Any, path: str, found: _Found) -> None:
        raw = self._raw
        if self._items is not None:
            known = self._by_key(old)
            for index, item in enumerate(value):
                was = known.get(self._key(item), MISSING) if known else MISSING
                self._items._check(item, was, f"{path}[{index}]", found)
                if len(found.causes) > MOST_CAUSES:
                    break
        if (least := raw.get("minItems")) is not None and len(value) < least:
            found.invalid(path, len(value), f"{path} in body should have at least {least} items")
        if (limit := raw.get("maxItems")) is not None and len(value) > limit:
            found.too_many(path, len(value), limit)
        if raw.get("uniqueItems") and any(same(item, each) for at, item in enumerate(value) for each in value[:at]):
            found.invalid(path, "", f"{path} in body shouldn't contain duplicates")
        found.matches += 2

    def _by_key(self, old: Any) -> dict[str, Any]:
        """The elements of the old list by their keys; the first of those that share theirs."""
        if not self._keys or not isinstance(old, list):
            return {}
        return {self._key(each): each for each in reversed(old) if isinstance(each, dict)}

    def _key(self, item: Any) -> str:
        if not isinstance(item, dict):
            return ""
        return orjson.dumps([item.get(key) for key in self._keys], option=orjson.OPT_SORT_KEYS).decode()

    def _object(self, value: dict[str, Any], old: Any, path: str, found: _Found) -> None:
        raw = self._raw
        was: dict[str, Any] = old if isinstance(old, dict) and not self._atomic else {}
        if (least := raw.get("minProperties")) is not None and len(value) < least:
            found.invalid(path, len(value), f"{path} in body should have at least {least} properties")
        if (limit := raw.get("maxProperties")) is not None and len(value) > limit:
            found.too_many(path, len(value), limit)
        for name, item in value.items():
            below = self._properties.get(name)
            if below is not None:
                below._check(item, was.get(name, MISSING), f"{path}.{name}" if path else name, found)
            elif self._additional is not None:
                self._additional._check(item, was.get(name, MISSING), f"{path}.{name}", found)
            elif self._closed:
                found.invalid(path, name, f"{path}.{name} in body is a forbidden property")
            if len(found.causes) > MOST_CAUSES:
                break
        for name in self._required:
            if name not in value:
                found.required(f"{path}.{name}")
        found.matches += 1

    def _combined(self, value: Any, old: Any, path: str, found: _Found) -> None:
        """anyOf, oneOf, allOf and not. Of alternatives that all fail, the one that fits best is explained."""
        if self._any:
            tried = self._tried(self._any, value, old, path, found, enough=True)
            best = next((each for each in tried if not each.causes), None)
            if best is None:
                found.general(f'"{path}" must validate at least one schema (anyOf)')
                best = max(tried, key=lambda each: each.matches)
            found.take(best)
        if self._one:
            tried = self._tried(self._one, value, old, path, found, enough=False)
            valid = [each for each in tried if not each.causes]
            if len(valid) == 1:
                found.take(valid[0])
            else:
                text = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
                found.general(f'"{path}" must validate one and only one schema (oneOf). {text}')
                if not valid:
                    found.take(max(tried, key=lambda each: each.matches))
        if self._all:
            tried = self._tried(self._all, value, old, path, found, enough=False)
            for each in tried:
                found.take(each)
            failed = sum(bool(each.causes) for each in tried)
            if failed:
                text = ". None validated" if failed == len(tried) else ""
                found.general(f'"{path}" must validate all the schemas (allOf){text}')
        if self._not is not None and not self._tried((self._not,), value, old, path, found, enough=True)[0].causes:
            found.general(f'"{path}" must not validate the schema (not)')
        found.matches += 2

    def _tried(
        self, alternatives: Sequence[Rules], value: Any, old: Any, path: str, found: _Found, *, enough: bool
    ) -> list[_Found]:
        """What each alternative finds; up to the first that fits, if that is `enough`."""
        tried = []
        for rules in alternatives:
            result = _Found(found.prefix)
            rules._apply(value, old, path, result)
            tried.append(result)
            if enough and not result.causes:
                break
        return tried


class _Found:
    """Collects causes. `matches` counts what was right, to tell which alternative was meant."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.causes: list[Cause] = []
        self.matches = 0

    def take(self, other: _Found) -> None:
        self.causes += other.causes
        self.matches += other.matches

    def at(self, path: str) -> str:
        path = path.removeprefix(".")
        return ".".join(part for part in (self.prefix, path) if part) or "<nil>"

    def type(self, path: str, given: str, expected: str) -> None:
        shown = given.replace("\\", "\\\\").replace('"', '\\"')
        self.causes.append(type_invalid(self.at(path), given, f'{path} in body must be of type {expected}: "{shown}"'))

    def invalid(self, path: str, value: Any, detail: str, *, misplaced: bool = False) -> None:
        if misplaced:
            self.general(detail)
        else:
            self.causes.append(invalid_value(self.at(path), value, detail))

    def required(self, path: str) -> None:
        self.causes.append(required(self.at(path)))

    def general(self, detail: str) -> None:
        """A problem of which Kubernetes names the place in the text alone."""
        self.causes.append(invalid_value(self.prefix or "<nil>", "", detail))

    def not_supported(self, path: str, value: Any, allowed: Sequence[Any]) -> None:
        cause = invalid_value(self.at(path), value, "")
        shown = cause.message.removeprefix("Invalid value: ").removesuffix(": ")
        shortened = allowed[:_MOST_WORDS]
        listed = ", ".join(f'"{each}"' if isinstance(each, str) else f'"{formats.as_json(each)}"' for each in shortened)
        self.causes.append(
            Cause("FieldValueNotSupported", f"Unsupported value: {shown}: supported values: {listed}", cause.field)
        )

    def too_long(self, path: str, limit: int) -> None:
        unit = "byte" if limit == 1 else "bytes"
        message = f"Too long: may not be more than {limit} {unit}"
        self.causes.append(Cause("FieldValueTooLong", message, self.at(path)))

    def too_many(self, path: str, count: int, limit: int) -> None:
        unit = "item" if limit == 1 else "items"
        message = f"Too many: {count}: must have at most {limit} {unit}"
        self.causes.append(Cause("FieldValueTooMany", message, self.at(path)))


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(item, right[name]) for name, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
