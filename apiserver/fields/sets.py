"""Sets of fields, in the form in which they stand in `fieldsV1`: nested dictionaries.

`{"f:spec": {"f:replicas": {}, "f:ports": {'k:{"port":80}': {".": {}, "f:port": {}}}}}` has three members:
`.spec.replicas`, the port 80 itself, and its `port`. A step is `f:` and a name, `k:` and the keys of a list's element,
`v:` and the value of one, or `i:` and an index. A dictionary without members is a member itself; one that has parts
says by `.` that it is a member too. The empty dictionary at the root is the empty set.

No function changes its arguments; what did not change is the argument itself, so `is` tells whether something did.

Source: Kubernetes API reference, "FieldsV1"; structured-merge-diff, fieldpath.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from k8slite.remembering import LONGEST

FieldSet = dict[str, Any]
Filter = Callable[[FieldSet], FieldSet]

#: A member without parts. Shared: sets are never changed.
LEAF: FieldSet = {}
_SELF: FieldSet = {".": LEAF}


def is_member(node: FieldSet) -> bool:
    """Whether what stands at a step is a member, not only the way to others."""
    return not node or "." in node


def union(first: FieldSet, second: FieldSet) -> FieldSet:
    """The members of both."""
    found: FieldSet | None = None
    for step, theirs in second.items():
        ours = first.get(step)
        if ours is None:
            node = theirs
        elif ours == theirs:
            continue
        else:
            node = union(ours or _SELF, theirs or _SELF)
            if node is ours:
                continue
        if found is None:
            found = dict(first)
        found[step] = node
    return first if found is None else found


def difference(first: FieldSet, second: FieldSet) -> FieldSet:
    """The members of the first that are not among those of the second; parts of a removed member stay."""
    found: FieldSet | None = None
    for step, theirs in second.items():
        ours = first.get(step)
        if ours is None:
            continue
        node = LEAF if step == "." else difference(ours or _SELF, theirs or _SELF)
        if node is ours and step != ".":
            continue
        if node == _SELF:
            if not ours:
                continue
            node = LEAF
        elif not node:
            found = dict(first) if found is None else found
            del found[step]
            continue
        found = dict(first) if found is None else found
        found[step] = node
    return first if found is None else found


def intersection(first: FieldSet, second: FieldSet) -> FieldSet:
    """The members that both have."""
    found: FieldSet = {}
    for step, theirs in second.items():
        ours = first.get(step)
        if ours is None:
            continue
        if step == "." or ours == theirs:
            found[step] = ours
        elif node := intersection(ours or _SELF, theirs or _SELF):
            found[step] = LEAF if node == _SELF else node
    return found


def without(first: FieldSet, second: FieldSet) -> FieldSet:
    """The members of the first that neither are members of the second nor parts of such."""
    found: FieldSet | None = None
    for step, theirs in second.items():
        ours = first.get(step)
        if ours is None or step == ".":
            continue
        node = LEAF if is_member(theirs) else without(ours, theirs)
        if not is_member(theirs) and node is ours:
            continue
        found = dict(first) if found is None else found
        if not is_member(theirs) and node:
            found[step] = LEAF if node == _SELF else node
        else:
            del found[step]
    return first if found is None else found


def only(first: FieldSet, pattern: FieldSet) -> FieldSet:
    """The members at and below the pattern's, whose step `*` stands for every step."""
    found: FieldSet = {}
    for step, ours in first.items():
        allowed = pattern.get(step, pattern.get("*"))
        if allowed is None:
            continue
        node = only(ours, allowed) if allowed else ours
        if node or not allowed:
            found[step] = node
    return found


def contains(first: FieldSet, second: FieldSet) -> bool:
    """Whether the first has every member of the second."""
    return not difference(second, first)


def has(fields: FieldSet, path: Iterable[str]) -> bool:
    """Whether the place at the end of these steps is a member."""
    node: FieldSet | None = fields
    for step in path:
        node = node.get(step) if node else None
        if node is None:
            return False
    return is_member(node) if node is not None else False


def single(path: Iterable[str]) -> FieldSet:
    """The set of one place."""
    node: FieldSet = LEAF
    for step in reversed(tuple(path)):
        node = {step: node}
    return node


def members(fields: FieldSet) -> Iterator[tuple[str, ...]]:
    """The path of every member, those of one place before those below it."""
    order = sorted((step for step in fields if step != "."), key=_rank)
    for step in order:
        if is_member(fields[step]):
            yield (step,)
    for step in order:
        for path in members(fields[step]):
            yield (step, *path)


def leaves(fields: FieldSet) -> FieldSet:
    """The members that have no parts."""
    found: FieldSet = {}
    for step, node in fields.items():
        if step == ".":
            continue
        if not node:
            found[step] = LEAF
        elif parts := leaves(node):
            found[step] = parts
    return found


def path_text(path: Iterable[str]) -> str:
    """A path as Kubernetes' errors print it: `.spec.ports[port=80,protocol="TCP"].name`."""
    return "".join(step_text(step) for step in path)


def step_text(step: str) -> str:
    """One step of such a path."""
    match step[:2]:
        case "f:":
            return "." + step[2:]
        case "k:":
            keys = orjson.loads(step[2:])
            return "[" + ",".join(f"{name}={orjson.dumps(keys[name]).decode()}" for name in sorted(keys)) + "]"
        case "v:":
            return f"[={step[2:]}]"
        case _:
            return f"[{step[2:]}]"


def canonical(fields: Any) -> FieldSet:
    """A set as a client wrote it, in the form that is compared here. Raises ValueError for what is none."""
    if not isinstance(fields, dict):
        raise ValueError("a set of fields must be an object")
    found: FieldSet = {}
    for step, node in fields.items():
        if step == ".":
            found["."] = LEAF
        else:
            found[_canonical_step(step)] = canonical(node)
    return LEAF if found == _SELF else found


def _canonical_step(step: str) -> str:
    match step[:2]:
        case "f:":
            return step
        case "k:":
            keys = orjson.loads(step[2:])
            if not isinstance(keys, dict):
                raise ValueError(f"keys must be an object: {step}")
            return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()
        case "v:":
            return "v:" + orjson.dumps(orjson.loads(step[2:])).decode()
        case "i:":
            return f"i:{int(step[2:])}"
        case _:
            raise ValueError(f"unknown path element: {step}")


def value_step(value: Any) -> str:
    """The step to an element of a list that is a set."""
    return _value_step.__wrapped__(value) if _is_long(value) else _value_step(value)


def key_step(names: tuple[str, ...], *values: Any) -> str:
    """The step to an element of a keyed list. Names must be sorted; those without a value (None) are left out."""
    for value in values:
        if _is_long(value):
            return _key_step.__wrapped__(names, *values)
    return _key_step(names, *values)


def _is_long(value: Any) -> bool:
    """Whether it is a text that is not to be kept: elements are what clients write."""
    return type(value) is str and len(value) > LONGEST


@lru_cache(maxsize=8192, typed=True)
def _value_step(value: Any) -> str:
    return "v:" + orjson.dumps(value).decode()


@lru_cache(maxsize=8192, typed=True)
def _key_step(names: tuple[str, ...], *values: Any) -> str:
    keys = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return "k:" + orjson.dumps(keys).decode()


def _rank(step: str) -> tuple[int, str]:
    return ("fkvi".index(step[0]), step)
