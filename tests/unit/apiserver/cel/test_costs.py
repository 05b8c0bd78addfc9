"""What a rule can cost at worst: the estimates that decide whether Kubernetes takes a definition."""

import pytest

from k8slite.apiserver.cel.environment import Environment
from k8slite.apiserver.cel.schemas import declared


def _plain(kind):
    if kind == "int-or-string":
        return {"x-kubernetes-int-or-string": True}
    if kind in ("date", "date-time", "duration"):
        return {"type": "string", "format": kind}
    return {"type": kind}


def _limited(schema, name, most):
    return schema if most is None else {**schema, name: most}


def _string(most):
    return _limited({"type": "string"}, "maxLength", most)


def _array(items):
    return lambda most: _limited({"type": "array", "items": items}, "maxItems", most)


def _map(values):
    return lambda most: _limited({"type": "object", "additionalProperties": values}, "maxProperties", most)


def _strings(most):
    return _array(_string(most))(most)


def _parts(most):
    parts = {"str": _string(most), "separator": _string(most)}
    return {"type": "object", "properties": {**parts, "before": _string(2), "after": _string(4)}}


def _limited_list(most):
    return {"type": "object", "properties": {"list": _array(_string(64))(most)}}


def _estimated(schema, rule):
    kind = declared(schema)
    assert kind is not None
    return Environment({"self": kind, "oldSelf": kind}).compile(rule).max_cost


@pytest.mark.parametrize(
    ("schema", "rule", "unlimited", "most", "limited"),
    [
        (_array(_plain("number")), "self.all(x, true)", 4718591, 10, 32),
        (_array(_plain("string")), "self.all(x, true)", 3145727, 20, 62),
        (_array(_plain("boolean")), "self.all(x, true)", 1887437, 5, 17),
        (_array(_array(_plain("number"))(None)), "self.all(x, true)", 3145727, 100, 302),
        (_map(_plain("number")), "self.all(x, true)", 1348169, 10, 32),
        (_map(_plain("number")), "has(self.x)", 0, 100, 0),
        (_map(_plain("string")), "self.all(x, true)", 1179647, 3, 11),
        (_map(_plain("boolean")), "self.all(x, true)", 943718, 100, 302),
        (_string, "self.contains('test')", 314574, 10, 5),
        (_string, "self.startsWith('test')", 2, 15, 2),
        (_string, "size(self + 'hello') > size('hello')", 314578, 4, 7),
        (_array(_plain("number")), "self[1] == 0.0", 2, 5000, 2),
        (_array(_plain("string")), "self[1] == self[1]", 314577, 8, 314577),
        (_array(_plain("number")), "self.all(x, self.all(y, true))", None, 10, 352),
        (_array(_plain("number")), "self.all(x, self.all(y, self.all(z, true)))", None, 10, 3552),
        (_string, "self.matches('x')", 314574, 50, 22),
        (_string, "''.matches('(((((((((())))))))))[0-9]')", 7, 10, 7),
        (_string, "self.matches('')", 1, 100, 1),
        (_string, "self == 'x'", 2, 0, 1),
        (_array(_plain("number")), "self.all(x, x == 0.0)", 6291454, 3 * 1024 * 2048, 25165826),
        (_array(_plain("int-or-string")), "self.all(x, true)", 4718591, 10, 32),
        (_array(_plain("int-or-string")), "self[0] == 5", 3, 10, 3),
        (_array(_array(_plain("number"))(None)), "self[0][0] == -1.0", 3, 51, 3),
        (_array(_plain("duration")), "self.all(x, true)", 2359295, 5, 17),
        (_array(_plain("duration")), "self[0].getHours() == 2", 4, 525, 4),
        (_array(_plain("date")), "self.all(x, true)", 725936, 15, 47),
        (_array(_plain("date-time")), "self.all(x, true)", 428963, 25, 77),
        (_map(_map(_plain("number"))(None)), "self.all(x, true)", 1179647, 10, 32),
        (_map(_plain("duration")), "self.all(x, true)", 1048577, 5, 17),
        (_map(_plain("date")), "self.all(x, true)", 524288, 10, 32),
        (_map(_plain("date-time")), "self.all(x, true)", 349526, 25, 77),
        (_string, "self.find('[0-9]+') == ''", 629147, 10, 11),
        (_strings, "self.join(' ') == 'aa bb'", 329853068905, 10, 43),
        (_strings, "self.isSorted() == true", 329854432052, 10, 52),
        (_parts, "self.str.replace(self.before, self.after) == 'does not matter'", 629154, 4, 12),
        (_parts, "self.str.split(self.separator) == []", 629160, 10, 22),
        (_string, "self.lowerAscii() == 'lower!'", 314575, 10, 6),
        (_map(_plain("integer")), "oldSelf.size() == self.size()", 5, 10, 5),
        (_map(_plain("date-time")), "self['a'] == self['b']", 8, 7, 8),
        (_map(_plain("duration")), "self['c'] == self['d']", 8, 42, 8),
        (_map(_plain("integer")), "self.all(key, key.matches('[a-z]+'))", 2696336, 8, 50),
        (_map(_plain("integer")), "self.all(key, key.contains('*'))", 1797558, 8, 34),
        (_limited_list, "(has(self.list) ? self.list : []).exists(x, x.contains('/'))", None, 256, 1291),
    ],
)  # fmt: skip
def test_estimates_are_those_of_kubernetes(schema, rule, unlimited, most, limited):
    assert _estimated(schema(most), rule) == limited
    if unlimited is not None:
        assert _estimated(schema(None), rule) == unlimited
