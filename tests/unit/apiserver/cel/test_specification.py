"""The language against its specification: cases like those of cel-spec's conformance tests, and random expressions
that the library which checks ours must evaluate to the same."""

import datetime
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8slite.apiserver.cel.environment import Environment
from k8slite.apiserver.cel.values import Duration, Timestamp, UInt

_EMPTY = Environment({})


def evaluated(source):
    return _EMPTY.compile(source).program.evaluate({}, limit=1_000_000)


@pytest.mark.parametrize(
    "source",
    [
        # basic, parse
        "'\\u00e9' == 'é' && '\\x41' == 'A' && b'\\303\\251' == bytes('é') && r'\\n'.size() == 2"
        " && '''a'b''' == \"a'b\"",
        "0xFF == 255 && -0x1 == -1 && 1e3 == 1000.0 && .5 == 0.5 && 0xFu == 15u",
        "[] == [] && {} == {} && [1, 2] != [2, 1] && {'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
        # comparisons
        "dyn(1) == dyn(1.0) && dyn(1u) == dyn(1) && dyn([1]) == dyn([1.0]) && dyn({'a': 1}) == dyn({'a': 1u})",
        "dyn(true) != dyn(1) && dyn('1') != dyn(1) && dyn(null) != dyn(false) && null == null",
        "dyn(9223372036854775807) >= 9223372036854775808.0 && dyn(18446744073709551615u) > -1",
        "!(0.0 / 0.0 == 0.0 / 0.0) && -0.0 == 0.0 && 1.0 / 0.0 > 1e308",
        "b'a' < b'b' && 'Z' < 'a' && false < true && !('' < '')",
        "dyn(1) in [1.0, 2.0] && 'a' in {'a': 1} && !('b' in ['a']) && dyn(1) in dyn([1u])",
        # numbers
        "-7 / 2 == -3 && -7 % 2 == -1 && 7 % -2 == 1 && 7u / 2u == 3u && 5.5 - 0.5 == 5.0",
        # logic
        "true || 1 / 0 == 1 && !(false && 1 / 0 == 1) && (1 / 0 == 1 || true) && !(1 / 0 == 1 && false)",
        "(true ? 1 : 1 / 0) == 1 && (false ? 1 / 0 : 2) == 2 && (dyn('a') || true)",
        # macros
        "[1, 2].all(x, x > 0) && [].all(x, false) && ![].exists(x, true) && {'a': 1}.exists(k, k == 'a')",
        "![1, 1].exists_one(x, x == 1) && [1, 2].exists_one(x, x == 1) && [1, 'b'].exists(x, dyn(x) > 'a')",
        "[1, 2].map(x, [x, x]) == [[1, 1], [2, 2]] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "{'a': 1, 'b': 2}.map(k, k).size() == 2",
        "[3, 1].filter(x, x > 2) == [3] && [1].map(x, [2].map(x, x)) == [[2]]",
        "has({'a': 1}.a) && !has({'a': 1}.b) && has({'a': null}.a)",
        # strings: by code points
        "size('a😀') == 2 && 'a😀b'.charAt(2) == 'b' && 'a😀b'.indexOf('b') == 2 && size(b'\\xff\\xfe') == 2",
        "'abab'.lastIndexOf('ab') == 2 && 'a'.indexOf('') == 0 && 'ab'.lastIndexOf('') == 2 && 'ab'.charAt(2) == ''",
        "'\\u2003x '.trim() == 'x' && 'aXa'.replace('a', 'b', 0) == 'aXa' && 'abc'.replace('', '-') == '-a-b-c-'",
        # conversions
        "int(-1.9) == -1 && int(timestamp(7)) == 7 && uint('7') == 7u && double('-1e3') == -1000.0 && int(7u) == 7",
        "string(1000000.0) == '1e+06' && string(123.5) == '123.5'",
        "string(0.00001) == '1e-05' && string(-0.0) == '-0'",
        "string(timestamp('2020-01-01T00:00:00.5+01:00')) == '2019-12-31T23:00:00.5Z'",
        "string(duration('90m')) == '5400s'",
        "string(timestamp('0001-01-01T00:00:00Z')) == '0001-01-01T00:00:00Z'",
        "type(1) == int && type(1u) == uint && type([]) == list && type(type(1)) == type && type(null) == null_type",
        "bool('t') && !bool('FALSE') && string(b'\\303\\251') == 'é' && bytes('é').size() == 2",
        # times
        "timestamp('2009-02-13T23:31:30Z').getDayOfYear() == 43 && timestamp(0).getDayOfMonth('-01:00') == 30",
        "timestamp('2009-02-13T23:31:30Z').getMinutes('Asia/Kathmandu') == 16",
        "timestamp('9999-12-31T23:59:59Z').getFullYear('+01:00') == 10000 && timestamp(0).getMonth() == 0",
        "duration('3730s').getMinutes() == 62 && duration('-90m').getHours() == -1",
        "duration('1.5s').getMilliseconds() == 1500 && timestamp('1969-12-31T23:59:59.75Z').getMilliseconds() == 750",
        "timestamp(0) + duration('1h') - duration('1h') == timestamp(0) && duration('1h') > duration('59m')",
        # optionals
        "optional.of({'c': {'i': 1}}).c['i'].orValue(0) == 1 && optional.of([7])[0].value() == 7",
        "!{'a': 1}.?b.hasValue() && {'a': {'b': 1}}.?a.?b.value() == 1 && [1][?1] == optional.none()",
        "has({'a': {'b': 1}}.?a.b) && [?optional.of(1), ?optional.none()] == [1]",
        "optional.of(1).optFlatMap(x, optional.of(x + 1)).value() == 2 && optional.none() == optional.none()",
        # format, as version 2 of the library writes it
        "'%f %.2f %e'.format([2.5, 1234.5, 1052.032911275]) == '2.500000 1,234.50 1.052033\\u202f×\\u202f10⁰³'",
        "'%s'.format([[1.5, b'x', true, null, 'a\"b']]) == '[1.500000, b\"x\", true, null, \"a\\\\\"b\"]'",
        "'%s'.format([{'b': duration('2h'), 'a': 1}]) == '{\"a\":1, \"b\":duration(\"7200s\")}'",
        "'%s %b %o %X %% %x'.format([int, 5, 8, 255, 'Hi']) == 'int 101 10 FF % 4869'",
        "'%f %f'.format([1.0 / 0.0, 'NaN']) == '∞ NaN'",
    ],
)
def test_agrees_with_the_specification(source):
    outcome = evaluated(source)
    assert outcome.error is None, outcome.error
    assert outcome.value is True


@pytest.mark.parametrize(
    "source",
    [
        *("9223372036854775807 + 1", "-9223372036854775808 - 1", "-(-9223372036854775808)", "0u - 1u"),
        *("-9223372036854775808 / -1", "18446744073709551615u + 1u", "1 / 0", "1u % 0u"),
        *("int(1e19)", "uint(-1)", "int('1.5')", "int('')", "bool('maybe')", "double('x')", "string(b'\\xff')"),
        *("timestamp('2020-13-01T00:00:00Z')", "timestamp('9999-12-31T23:59:59Z') + duration('1s')"),
        *("duration('1')", "duration('1h') + duration('2562047h')", "timestamp(0).getHours('No/Where')"),
        *("[1][1]", "[1][-1]", "{'a': 1}['b']", "{'a': 1}.b", "{1: 1, 1: 2}", "dyn([1])['a']"),
        *("false || 1 / 0 == 1", "[1, 0].all(x, 1 / x > 0)", "[0].exists_one(x, 1 / x > 0)", "[0].map(x, 1 / x)"),
        *("dyn(1) + dyn('a')", "dyn(1) < dyn('a')", "dyn('a') ? 1 : 2", "dyn(1) && true", "!dyn(1)", "dyn(1).a"),
        *("'ab'.substring(2, 1)", "'ab'.charAt(3)", "'ab'.indexOf('a', 3)", "'%d'.format([1.5])", "'%f'.format([1])"),
        *("optional.none().value()", "{'a': dyn(null)}.?a.b.hasValue()", "'a'.matches('[')"),
    ],
)  # fmt: skip
def test_fails_where_the_specification_says_so(source):
    assert evaluated(source).error is not None


@lru_cache(maxsize=1)
def _library():
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    config = cel.NewEnvConfigFromYaml('{"variables": []}')
    return cel.NewEnv(config=config, extensions=[ext_strings.ExtStrings(2), ext_optional.ExtOptional()])


def _by_library(source):
    """Type and value, or None for an error; times to the microsecond, which is all that it hands out."""
    try:
        result = _library().compile(source).eval(data={})
        value = result.value()
    except RuntimeError:
        return None
    kind = str(result.type()).lower()
    if "error" in kind:
        return None
    if isinstance(value, datetime.datetime):
        return "timestamp", round(value.replace(tzinfo=value.tzinfo or datetime.UTC).timestamp(), 3)
    if isinstance(value, datetime.timedelta):
        return "duration", round(value.total_seconds(), 3)
    return "uint" if "uint" in kind else type(value).__name__, repr(value)


def _by_ours(source):
    outcome = evaluated(source)
    if outcome.error is not None:
        return None
    value = outcome.value
    if isinstance(value, Timestamp):
        return "timestamp", round(value.nanos / 1e9, 3)
    if isinstance(value, Duration):
        return "duration", round(value.nanos / 1e9, 3)
    return "uint" if isinstance(value, UInt) else type(value).__name__, repr(value)


def _call(form, *parts):
    return st.tuples(*parts).map(lambda taken: form.format(*taken))


def _expressions():
    """Expressions by type; without what cel-go does differently (doubles and times as strings, `substring`)."""
    integer = st.sampled_from(["0", "1", "2", "-3", "7", "2147483648", "9007199254740993", "9223372036854775807"])
    unsigned = st.sampled_from(["0u", "1u", "3u", "18446744073709551615u"])
    double = st.sampled_from(["0.0", "1.0", "-2.5", "1e300", "9007199254740992.0", "1e-7"])
    text = st.sampled_from(["''", "'a'", "'é😀b'", "'12'", "' x'", "'true'", "'1h30m'", "'2020-02-03T04:05:06.5Z'"])
    moment = st.sampled_from(
        ["timestamp('2020-02-29T23:59:59.5Z')", "timestamp('1969-12-31T23:59:59.5Z')", "timestamp(5)"]
    )
    span = st.sampled_from(["duration('1h30m')", "duration('-1.5s')", "duration('2562047h')"])
    truth = st.sampled_from(["true", "false"])
    kinds = (integer, unsigned, double, text, moment, span, truth)
    for _ in range(3):
        kinds = _deeper(*kinds)
    return st.one_of(*kinds)


def _deeper(integer, unsigned, double, text, moment, span, truth):
    """Of each type, the expressions given or something made of them."""
    zone = st.sampled_from(["", "'America/New_York'", "'Asia/Kathmandu'", "'+05:45'", "'-08:00'", "'Bad/Zone'"])
    part = st.sampled_from(["FullYear", "Month", "Date", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds"])
    sign = st.sampled_from(["+", "-", "*", "/", "%"])
    macro = st.sampled_from(["all", "exists", "exists_one"])
    order = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    number = st.one_of(integer, unsigned, double).map("dyn({})".format)
    integers = _call("[{}, {}]", integer, integer)
    kinds = (integer, unsigned, double, text, moment, span, truth)
    anything = st.one_of(*kinds).map("dyn({})".format)
    return (
        st.one_of(
            integer,
            _call("({} {} {})", integer, sign, integer),
            _call("int({})", st.one_of(text, double, unsigned, moment)),
            _call("({}).get{}({})", moment, part, zone),
            _call("size({})", text),
            _call("({}).indexOf({})", text, text),
            _call("{}[{}]", integers, integer),
            _call("({} ? {} : {})", truth, integer, integer),
            _call("{{'a': {}, 'b': {}}}[{}]", integer, integer, text),
            _call("{{'a': {}}}.?b.orValue({})", integer, integer),
        ),
        st.one_of(unsigned, _call("({} {} {})", unsigned, sign, unsigned), _call("uint({})", number)),
        st.one_of(double, _call("({} / {})", double, double), _call("double({})", st.one_of(text, integer))),
        st.one_of(
            text,
            _call("({} + {})", text, text),
            _call("string({})", st.one_of(integer, unsigned, truth)),
            _call("({}).charAt({})", text, integer),
            _call("({}).trim().upperAscii()", text),
            _call("({}).replace({}, {})", text, text, text),
            _call("({}).split({}).join('|')", text, text),
        ),
        st.one_of(moment, _call("({} + {})", moment, span), _call("timestamp({})", st.one_of(text, integer))),
        st.one_of(span, _call("({} - {})", moment, moment), _call("duration({})", text)),
        st.one_of(
            truth,
            _call("({} {} {})", truth, st.sampled_from(["&&", "||"]), truth),
            _call("!({})", truth),
            st.one_of(*(_call("({} {} {})", kind, order, kind) for kind in kinds)),
            _call("({} {} {})", number, order, number),
            _call("({} == {})", anything, anything),
            _call("({} in {})", integer, integers),
            _call("{}.{}(x, x > {} && {})", integers, macro, integer, truth),
            _call("({}.map(x, x + {}) == {}.filter(x, x != {}))", integers, integer, integers, integer),
            _call("has({{'a': {}}}.{})", anything, st.sampled_from(["a", "b"])),
            _call("({}).{}({})", text, st.sampled_from(["contains", "startsWith", "endsWith"]), text),
        ),
    )  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(_expressions())
def test_evaluates_to_what_the_library_does(source):
    assert _by_ours(source) == _by_library(source)
