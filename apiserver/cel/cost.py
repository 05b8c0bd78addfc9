"""The worst that an expression can cost, before it runs: from the bounds that its variables' types declare.

A list without `maxItems` is taken to be as long as a request can hold; so a loop within a loop over such lists is
estimated, and refused, as what it is.

Source: cel-go, checker/cost.go; Kubernetes' apiserver, pkg/cel/library/cost.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil

from .ast import Call, Comprehension, Const, Ident, ListOf, Node, Select, StructOf
from .charges import REGEX, STRING
from .types import DeclType

UNKNOWN = (1 << 64) - 1
_LIST, _MAP, _OBJECT = 10, 30, 40
_SIZED = frozenset({"string", "bytes", "list", "map", "dyn"})
_NAME_FORMAT = ceil(128 * REGEX)


def estimate(root: Node, variables: Mapping[str, DeclType]) -> int:
    """The largest cost in units; at most 2⁶⁴-1."""
    return min(UNKNOWN, _Estimator(dict(variables)).cost(root))


@dataclass(frozen=True, slots=True)
class _Local:
    """A variable of a macro: its declared type, if it comes from one, and its size."""

    declared: DeclType | None
    size: int | None
    element: int | None


def _strings(size: int) -> int:
    return ceil(size * STRING) if size < 1 << 50 else size // 10


@dataclass(slots=True)
class _Estimator:
    variables: dict[str, DeclType]
    locals: dict[str, _Local] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    elements: dict[int, int] = field(default_factory=dict)
    declared: dict[int, DeclType | None] = field(default_factory=dict)

    def cost(self, node: Node) -> int:
        """The cost of a node and all below it; notes sizes and declared types on the way."""
        match node:
            case Ident():
                return self._ident(node)
            case Select():
                inner = self.cost(node.operand)
                outer = self.declared.get(node.operand.id)
                if outer is not None and outer.kind == "optional_type":
                    outer = outer.element
                if outer is not None:
                    found = outer.fields.get(node.field) if outer.kind == "object" else outer.element
                    self.declared[node.id] = found
                return 0 if node.test else inner + 1
            case Call():
                return self._call(node)
            case ListOf():
                total = _LIST + sum(self.cost(element) for element in node.elements)
                self.elements[node.id] = max((self.size(element) for element in node.elements), default=0)
                self.sizes[node.id] = len(node.elements)
                return total
            case StructOf():
                keys = [entry.key for entry in node.entries if isinstance(entry.key, Node)]
                total = (_OBJECT if node.name else _MAP) + sum(self.cost(key) for key in keys)
                total += sum(self.cost(entry.value) for entry in node.entries)
                self.elements[node.id] = max((self.size(key) for key in keys), default=0)
                self.sizes[node.id] = len(node.entries)
                return total
            case Comprehension():
                return self._fold(node)
            case _:
                return 0

    def size(self, node: Node) -> int:
        """The largest size of what a node evaluates to: letters, elements; 1 of what has none."""
        if isinstance(node, Const):
            return len(node.value) if isinstance(node.value, (str, bytes)) else 1
        if node.id in self.sizes:
            return self.sizes[node.id]
        declared = self.declared.get(node.id)
        if declared is not None:
            return declared.max_elements if declared.kind in _SIZED else 1
        return UNKNOWN if node.type.kind in _SIZED else 1

    def _ident(self, node: Ident) -> int:
        local = self.locals.get(node.name)
        if local is None:
            self.declared[node.id] = self.variables.get(node.name)
            return 1
        self.declared[node.id] = local.declared
        if local.size is not None:
            self.sizes[node.id] = local.size
        if local.element is not None:
            self.elements[node.id] = local.element
        return 1

    def _fold(self, node: Comprehension) -> int:
        total = self.cost(node.over) + self.cost(node.initial)
        count = self.size(node.over)
        declared = self.declared.get(node.over.id)
        inner = declared and (declared.key if declared.kind == "map" else declared.element)
        shadowed = dict(self.locals)
        self.locals[node.accumulator] = _Local(
            None, count if isinstance(node.initial, ListOf) else self.size(node.initial), None
        )
        one = _Local(inner, None, self.elements.get(node.over.id))
        if inner is None and node.over.id in self.elements:
            one = _Local(None, self.elements[node.over.id], None)
        elif inner is None:
            one = _Local(None, self._root_size(), None)
        self.locals[node.variable] = one
        if node.second:
            is_map = declared is not None and declared.kind == "map"
            self.locals[node.variable] = one if is_map else _Local(None, 1, None)
            self.locals[node.second] = _Local(declared.element, None, None) if is_map and declared else one
        loop = self.cost(node.condition) + self.cost(node.step)
        element = self.elements.get(node.step.id)
        total += self.cost(node.result)
        self.locals = shadowed
        self.sizes[node.id] = count if isinstance(node.initial, (ListOf, StructOf)) else self.size(node.initial)
        if element is not None:
            self.elements[node.id] = element
        return min(UNKNOWN, total + count * max(1, loop))

    def _root_size(self) -> int | None:
        """What Kubernetes takes for the size of an element that comes from no field: that of `self`, an object's 0."""
        root = self.variables.get("self")
        if root is None:
            return None
        return 0 if root.kind == "object" else root.max_elements

    def _call(self, node: Call) -> int:
        costs = [self.cost(operand) for operand in node.operands]
        name = node.function
        if name == "_?_:_":
            self.sizes[node.id] = max(self.size(node.args[1]), self.size(node.args[2]))
            return costs[0] + max(costs[1], costs[2])
        if name in ("_&&_", "_||_"):
            return sum(costs)
        if name in ("_[_]", "_[?_]", "_?._"):
            self._index(node)
            return min(UNKNOWN, sum(costs) + 1)
        if name == "dyn":
            self._copy(node, node.args[0])
            return costs[0] + 1
        if name in ("orValue", "or", "value") and node.target is not None:
            self._copy(node, node.target)
            return sum(costs) + 1
        rule = _RULES.get(name)
        own = 1 if rule is None else rule(self, node)
        return min(UNKNOWN, sum(costs) + own)

    def _copy(self, node: Node, source: Node) -> None:
        self.declared[node.id] = self.declared.get(source.id)
        for table in (self.sizes, self.elements):
            if source.id in table:
                table[node.id] = table[source.id]

    def _index(self, node: Call) -> None:
        container, key = node.operands[0], node.operands[1]
        declared = self.declared.get(container.id)
        if declared is not None and declared.kind == "optional_type":
            declared = declared.element
        if declared is not None and declared.kind == "object" and isinstance(key, Const):
            self.declared[node.id] = declared.fields.get(str(key.value))
        elif declared is not None:
            self.declared[node.id] = declared.element
        elif container.id in self.elements:
            self.sizes[node.id] = self.elements[container.id]

    # The rules by function: each answers the call's own cost, and notes the result's size.

    def _traverse(self, node: Call) -> int:
        return _strings(self.size(node.operands[0]))

    def _rewrite(self, node: Call) -> int:
        size = self.size(node.operands[0])
        self.sizes[node.id] = size
        return _strings(size)

    def _equality(self, node: Call) -> int:
        return _strings(min(map(self._compared, node.args)))

    def _compared(self, node: Node) -> int:
        declared = self.declared.get(node.id)
        kind = declared.kind if declared is not None else ""
        if kind in ("int", "double", "bool"):
            return 0
        return declared.max_elements if declared and kind in ("timestamp", "duration") else self.size(node)

    def _order(self, node: Call) -> int:
        if not any(arg.type.kind in ("string", "bytes") for arg in node.args):
            return 1
        return _strings(min(self.size(node.args[0]), self.size(node.args[1])))

    def _plus(self, node: Call) -> int:
        if node.type.kind not in ("string", "bytes", "list", "dyn"):
            return 1
        size = min(UNKNOWN, self.size(node.args[0]) + self.size(node.args[1]))
        self.sizes[node.id] = size
        found = [self.elements[arg.id] for arg in node.args if arg.id in self.elements]
        if found:
            self.elements[node.id] = max(found)
        return 1 if node.type.kind == "list" else _strings(size)

    def _membership(self, node: Call) -> int:
        return self.size(node.args[1]) if node.args[1].type.kind in ("list", "dyn") else 1

    def _search(self, node: Call) -> int:
        text, pattern = self.size(node.operands[0]), self.size(node.operands[1])
        if node.function == "findAll":
            self.sizes[node.id] = text
        return min(UNKNOWN, _strings(text + 1) * ceil(pattern * REGEX))

    def _contains(self, node: Call) -> int:
        return min(UNKNOWN, _strings(self.size(node.operands[0])) * _strings(self.size(node.operands[1])))

    def _elements(self, node: Call) -> int:
        target = node.operands[0]
        if target.type.kind == "string":
            return self._traverse(node)
        declared = self.declared.get(target.id)
        element = declared.element if declared is not None and declared.kind == "list" else None
        each = 1
        if element is not None and element.kind in ("string", "bytes"):
            each += _strings(element.max_elements)
        elif target.id in self.elements:
            each += _strings(self.elements[target.id])
        if node.type.kind == "list":
            self._copy(node, target)
        return min(UNKNOWN, self.size(target) * each)

    def _product(self, node: Call) -> int:
        return min(UNKNOWN, self.size(node.args[0]) * self.size(node.args[1]))

    def _replace(self, node: Call) -> int:
        text, new = self.size(node.operands[0]), self.size(node.operands[2])
        old = node.operands[1]
        shortest = max(1, len(old.value)) if isinstance(old, Const) and isinstance(old.value, str) else 1
        grows = new > shortest or not (isinstance(old, Const) and old.value)
        size = min(UNKNOWN, text + (text // shortest + 1) * new if grows else text)
        self.sizes[node.id] = size
        return _strings(2 * text)

    def _split(self, node: Call) -> int:
        size = self.size(node.operands[0])
        self.sizes[node.id] = self.elements[node.id] = size
        return _strings(2 * size)

    def _join(self, node: Call) -> int:
        items = node.operands[0]
        declared = self.declared.get(items.id)
        element = self.elements.get(items.id)
        if element is None:
            element = declared.element.max_elements if declared is not None and declared.element else UNKNOWN
        count = self.size(items)
        separator = self.size(node.operands[1]) if len(node.operands) > 1 else 0
        size = min(UNKNOWN, count * element + max(0, count - 1) * separator)
        self.sizes[node.id] = size
        return _strings(size)

    def _validate(self, node: Call) -> int:
        return _strings(self.size(node.operands[1])) * _NAME_FORMAT

    def _quoted(self, node: Call) -> int:
        size = self.size(node.args[0])
        self.sizes[node.id] = min(UNKNOWN, 2 * size + 2)
        return _strings(size)


_RULES: dict[str, Callable[[_Estimator, Call], int]] = {
    **dict.fromkeys(("_==_", "_!=_"), _Estimator._equality),
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _Estimator._order),
    **dict.fromkeys(("startsWith", "endsWith"), lambda self, node: _strings(self.size(node.operands[1]))),
    "_+_": _Estimator._plus,
    "@in": _Estimator._membership,
    **dict.fromkeys(("matches", "find", "findAll"), _Estimator._search),
    "contains": _Estimator._contains,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "includes"), _Estimator._elements),
    **dict.fromkeys(("sort", "distinct", "reverse", "slice", "flatten"), _Estimator._elements),
    **dict.fromkeys(("sets.contains", "sets.equivalent", "sets.intersects"), _Estimator._product),
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim", "url", "string", "bytes"), _Estimator._rewrite),
    **dict.fromkeys(
        ("format", "isURL", "ip", "isIP", "cidr", "isCIDR", "ip.isCanonical"),
        _Estimator._traverse,
    ),
    **dict.fromkeys(("quantity", "isQuantity", "semver", "isSemver", "charAt"), _Estimator._traverse),
    "replace": _Estimator._replace,
    "split": _Estimator._split,
    "join": _Estimator._join,
    "validate": _Estimator._validate,
    "strings.quote": _Estimator._quoted,
}
