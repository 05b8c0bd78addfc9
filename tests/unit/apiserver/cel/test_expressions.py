"""The language and its libraries: what expressions evaluate to, and in which words they fail."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.cel.environment import CompileError, Environment
from k8slite.apiserver.cel.schemas import converter, declared
from k8slite.apiserver.cel.types import INT

_SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "namespace": {"type": "string"},
        "my-field": {"type": "string"},
        "two__scores": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "wait": {"type": "string", "format": "duration"},
        "blob": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": True},
        "names": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "parts": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"size": {"type": "integer"}}},
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
_SELF = {
    "count": 3,
    "ratio": 2,
    "namespace": "ns",
    "my-field": "dash",
    "two__scores": "u",
    "since": "2020-02-03T04:05:06.7Z",
    "day": "2020-02-03",
    "wait": "1h30m",
    "blob": "aGk=",
    "port": "80%",
    "names": ["a", "b", "ab"],
    "set": ["x", "y"],
    "matrix": [[1, 2], [3]],
    "parts": {"k": {"size": 1}},
    "free": {"anything": 1},
}


def _declared():
    kind = declared(_SCHEMA, root=True)
    assert kind is not None
    return kind


ENVIRONMENT = Environment({"self": _declared()})
ARITHMETIC = Environment({"a": INT, "b": INT})


def run(source, limit=1_000_000):
    convert = converter(_SCHEMA, root=True)
    assert convert is not None
    return ENVIRONMENT.compile(source).program.evaluate({"self": convert(_SELF)}, limit=limit)


def value(source):
    outcome = run(source)
    assert outcome.error is None, outcome.error
    return outcome.value


@pytest.mark.parametrize(
    "source",
    [
        # objects of a schema
        "self.count == 3 && self.ratio == 2.0 && self.ratio > 1",
        "self.__namespace__ == 'ns' && self.my__dash__field == 'dash' && self.two__underscores__scores == 'u'",
        "self.since > timestamp('2020-02-03T04:05:06Z') && self.since.getMilliseconds() == 700",
        "self.day == timestamp('2020-02-03T00:00:00Z')",
        "self.wait == duration('90m') && self.wait.getMinutes() == 90",
        "self.blob == b'hi'",
        "type(self.port) == string && self.port.endsWith('%')",
        "type(self.port) == int ? self.port < 100 : self.port != ''",
        "self.parts.all(key, self.parts[key].size == 1) && self.parts.k.size == 1 && 'k' in self.parts",
        "self.matrix.exists(row, row.sum() == 3) && self.matrix[0][1] == 2",
        "has(self.count) && !has(self.metadata)",
        "self.set == ['x', 'y'] && self.set + ['x', 'z'] == self.set + ['z']",
        # macros
        "self.names.all(n, n.size() < 3) && self.names.exists_one(n, n == 'ab')",
        "self.names.map(n, n + '!') == ['a!', 'b!', 'ab!']",
        "self.names.map(n, n.size() > 1, n) == ['ab'] && self.names.filter(n, n < 'b') == ['a', 'ab']",
        "[1, 2].map(x, [3].map(y, x + y)) == [[4], [5]]",
        "[[1], [2]].all(x, x.all(x, x > 0))",
        # errors on one side are forgiven when the other decides
        "1 / 0 == 1 || true",
        "!(1 / 0 == 1 && false)",
        "[0, 1].exists(x, 1 / x > 0)",
        # numbers
        "1 < 1.5 && 2.5 > 2u && 1u <= 1 && dyn(1) == 1.0",
        "-5 / 2 == -2 && -5 % 2 == -1 && 2.0 / 0.0 > 1.0",
        "int('12') + int(1.9) == 13 && double('1.5') == 1.5 && uint(3) == 3u && bool('true')",
        "string(1.0) == '1' && string(1.5) == '1.5' && string(true) == 'true' && string(b'a') == 'a'",
        # strings
        "'tacocat'.charAt(3) == 'o' && 'tacocat'.indexOf('a', 2) == 5 && 'tacocat'.lastIndexOf('a', 4) == 1",
        "'TacoCat'.lowerAscii() == 'tacocat' && 'é'.upperAscii() == 'é' && size('é') == 1",
        "'hello hello'.replace('he', 'we', 1) == 'wello hello' && ' x\\t'.trim() == 'x'",
        "'a,b,c'.split(',', 2) == ['a', 'b,c'] && ''.split(',', 0) == [] && ['x', 'y'].join('-') == 'x-y'",
        "'tacocat'.substring(1, 4) == 'aco' && strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'%s %d %.2f %x %s'.format(['a', 3, 1.5, 255, [1, 'b']]) == 'a 3 1.50 ff [1, \"b\"]'",
        "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]') == ''",
        "'123 abc 456'.findAll('[0-9]+') == ['123', '456'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
        "'abc'.matches('^[a-c]+$') && !'abc'.matches('^b')",
        # lists and sets
        "[1, 2, 3].sum() == 6 && [1.5].sum() == 1.5 && [1, 2, 2].isSorted() && !['b', 'a'].isSorted()",
        "[3, 1].min() == 1 && ['a', 'b'].max() == 'b' && [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2",
        "[duration('1m'), duration('1s')].sum() == duration('61s') && [1, 2].includes(2)",
        "[1, 2, 3].slice(1, 2) == [2] && [[1], [2]].flatten() == [1, 2] && [1, 2, 1].distinct() == [1, 2]",
        "[2, 1].sort() == [1, 2] && [1, 2].reverse() == [2, 1] && lists.range(3) == [0, 1, 2]",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1, 1]) && sets.intersects([1], [1, 2])",
        # optionals
        "self.?count.orValue(1) == 3 && {'a': 1}.?b.orValue(2) == 2 && [1][?5].orValue(9) == 9",
        "optional.of(1).hasValue() && !optional.none().hasValue()",
        "optional.ofNonZeroValue(0).or(optional.of(2)).value() == 2",
        "self.?count.optMap(x, x + 1).orValue(0) == 4 && {?'a': optional.none(), 'b': 1}.size() == 1",
        # url
        "url('https://u@example.com:80/path?k=1&k=2').getHost() == 'example.com:80'",
        "url('https://example.com:80/').getHostname() == 'example.com' && url('https://a:80/').getPort() == '80'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('/with space').getEscapedPath() == '/with%20space'",
        "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'",
        "!isURL('https://exa mple.com/') && !isURL(' /path') && !quantity('99999999999999999999G').isInteger()",
        "url('https://a/p?k=1&k=2&z=3').getQuery()['k'] == ['1', '2'] && url('/p').getScheme() == ''",
        "isURL('https://user:pass@example.com:80/') && !isURL('../relative') && !isURL('')",
        # quantities
        "quantity('1.5Gi').isGreaterThan(quantity('1Gi')) && quantity('50k').add(20) == quantity('50020')",
        "quantity('1000m').asInteger() == 1 && !quantity('0.5').isInteger() && quantity('-1').sign() == -1",
        "isQuantity('1.3Gi') && !isQuantity('1Foo') && quantity('0.5').asApproximateFloat() == 0.5",
        "quantity('1').sub(quantity('1')).compareTo(quantity('0')) == 0 && quantity('1').isLessThan(quantity('2'))",
        # addresses
        "ip('192.168.0.1').family() == 4 && isIP('::1') && !isIP('192.168.0.1.0') && string(ip('::1')) == '::1'",
        "ip('fe80::1').isLinkLocalUnicast() && ip('127.0.0.1').isLoopback() && ip('0.0.0.0').isUnspecified()",
        "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD') && ip('1.2.3.4').isGlobalUnicast()",
        "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1')) && !cidr('192.168.0.0/24').containsIP('192.168.1.1')",
        "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24') && cidr('10.0.0.0/8').prefixLength() == 8",
        "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('::1/128').ip() == ip('::1')",
        "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && !isIP('::ffff:1.2.3.4')",
        # formats
        "!format.dns1123Label().validate('my-name').hasValue() && format.dns1123Label().validate('a.b').hasValue()",
        "format.named('uuid').value().validate('x').value() == ['does not match the UUID format']",
        "!format.named('unknown').hasValue() && !format.date().validate('2020-01-31').hasValue()",
        # versions
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').compareTo(semver('1.0.0')) == -1",
        "semver('v1.2', true).major() == 1 && isSemver('1.2.3-alpha.1') && !isSemver('v1.0')",
        # times
        "timestamp('2020-01-01T23:00:00Z').getHours('America/New_York') == 18",
        "timestamp('2020-01-01T00:00:00Z') - timestamp('2019-12-31T23:59:59Z') == duration('1s')",
        "timestamp('2020-01-05T00:00:00Z').getDayOfWeek() == 0 && timestamp(0).getFullYear() == 1970",
    ],
)
def test_holds(source):
    assert value(source) is True


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("{'a': 1}['b'] == 1", "no such key: b"),
        ("self.metadata.name == ''", "no such key: metadata"),
        ("[1][3] == 1", "index out of bounds: 3"),
        ("self.port > 5", "no such overload"),
        ("[].min() == 1", "min called on empty list"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("'a'.matches(self.__namespace__ + '[')", "error parsing regexp: missing ]: ["),
        ("quantity('x').isInteger()", "quantities must match the regular expression"),
        ("'%d'.format(['a']) == ''", "error during formatting"),
        ("[0, 1].all(x, 1 / x > 0)", "division by zero"),
    ],
)
def test_fails_in_the_words_of_kubernetes(source, error):
    outcome = run(source)
    assert outcome.error is not None
    assert error in str(outcome.error)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("self.cuont > 1", "ERROR: <input>:1:5: undefined field 'cuont'\n | self.cuont > 1\n | ....^"),
        ("self.parts['k'].sise == 1", "undefined field 'sise'"),
        ("self.free.anything == 1", "undefined field 'anything'"),
        ("self.metadata.labels == {}", "undefined field 'labels'"),
        ("other == 1", "undeclared reference to 'other' (in container '')"),
        ("self.count == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.count == 1.0", "found no matching overload for '_==_' applied to '(int, double)'"),
        ("self.count.foo", "type 'int' does not support field selection"),
        ("self.count >", "Syntax error: mismatched input '<EOF>'"),
        ("self.names.all(1, true)", "argument must be a simple name"),
        ("quantity('1') == ip('::1')", "found no matching overload for '_==_'"),
        ("self.names.sum() == ''", "found no matching overload for 'sum' applied to '(list(string))'"),
        ("kubernetes.URL{} == url('/')", "undeclared reference"),
        ("true " * 30_000, "exceeds limit"),
    ],
)
def test_compile_errors_name_the_place(source, error):
    with pytest.raises(CompileError) as caught:
        ENVIRONMENT.compile(source)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "self.long.all(a, self.long.all(b, self.long.all(c, a + b + c >= 0)))",
        "self.long.map(a, self.long).size() > 0 && self.long.all(a, self.long.map(b, b) == self.long)",
        "self.long.all(a, a in self.long && self.long.distinct().size() > 0)",
        "sets.equivalent(self.long, self.long.map(x, -x))",
        "self.long.map(a, 'x' + string(a)).join('').matches('(x+x+)+y')",
        "'%.999999999f'.format([1.0]) == ''",
        "lists.range(1000000000).size() > 0",
        "self.long.all(x, 'aaaaaaaaaa'.replace('', 'bbbbbbbbbb').replace('', 'cccccccccc').size() > 0)",
    ],
)
def test_hostile_expressions_end_soon(source):
    schema = {"type": "object", "properties": {"long": {"type": "array", "items": {"type": "integer"}}}}
    kind = declared(schema)
    assert kind is not None
    program = Environment({"self": kind}).compile(source).program
    start = time.process_time()
    program.evaluate({"self": {"long": list(range(20_000))}}, limit=1_000_000)
    assert time.process_time() - start < 1


def test_too_expensive_evaluations_are_given_up():
    outcome = run("lists.range(1000).all(a, lists.range(1000).all(b, a + b >= 0))")
    assert str(outcome.error) == "operation cancelled: actual cost limit exceeded"


def test_nothing_swallows_the_limit():
    outcome = run("lists.range(1000).all(a, lists.range(1000).all(b, a + b >= 0)) || true", limit=5000)
    assert str(outcome.error) == "operation cancelled: actual cost limit exceeded"


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_integers_never_wrap(a, b):
    program = ARITHMETIC.compile("[a + b, a - b, a * b].size() == 3")
    wide = any(not -(2**63) <= result < 2**63 for result in (a + b, a - b, a * b))
    outcome = program.program.evaluate({"a": a, "b": b}, limit=1000)
    assert (str(outcome.error) == "integer overflow") if wide else outcome.value is True


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(1, 2**63 - 1))
def test_quotient_and_remainder_fit_together(a, b):
    outcome = ARITHMETIC.compile("(a / b) * b + a % b == a").program.evaluate({"a": a, "b": b}, limit=1000)
    assert outcome.value is True
    assert (
        ARITHMETIC.compile("a / b").program.evaluate({"a": a, "b": b}, limit=10).value == math.trunc(a / b)
        or abs(a) > 2**52
    )
