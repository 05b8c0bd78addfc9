"""Selectors: what they mean, and how they are refused."""

import pytest

from k8slite.selectors import SelectorError, parse_field_selector, parse_label_selector


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("", [{}, {"a": "b"}], []),
        ("app=web", [{"app": "web"}], [{}, {"app": "db"}]),
        ("app==web", [{"app": "web"}], [{"app": "db"}]),
        ("app != web", [{}, {"app": "db"}], [{"app": "web"}]),
        ("app", [{"app": ""}, {"app": "x"}], [{"b": "x"}]),
        ("!app", [{}], [{"app": ""}]),
        ("! app ", [{}], [{"app": ""}]),
        ("app=", [{"app": ""}], [{}, {"app": "x"}]),
        ("app in (web, db)", [{"app": "web"}, {"app": "db"}], [{}, {"app": "x"}]),
        ("app in(web)", [{"app": "web"}], [{}]),
        ("app in ()", [{"app": ""}], [{}, {"app": "x"}]),
        ("app in (,a)", [{"app": ""}, {"app": "a"}], [{}]),
        ("app in (a,)", [{"app": ""}, {"app": "a"}], [{"app": "b"}]),
        ("app in (a,,b)", [{"app": ""}, {"app": "b"}], [{"app": "c"}]),
        ("app notin (web,db)", [{}, {"app": "x"}], [{"app": "db"}]),
        ("in in (in)", [{"in": "in"}], [{"in": "x"}]),
        ("notin,in=notin", [{"notin": "", "in": "notin"}], [{"in": "notin"}]),
        ("n>5", [{"n": "6"}], [{"n": "5"}, {"n": "x"}, {}]),
        ("n < 1", [{"n": "0"}], [{"n": "1"}]),
        ("a=1 , b!=2,c", [{"a": "1", "c": "3"}], [{"a": "1", "b": "2", "c": ""}, {"a": "1"}]),
        ("example.com/team=a\t", [{"example.com/team": "a"}], [{"team": "a"}]),
    ],
)
def test_what_label_selectors_match(text, matching, others):
    selector = parse_label_selector(text)
    assert [labels for labels in matching if not selector.matches(labels)] == []
    assert [labels for labels in others if selector.matches(labels)] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a==(b", "unable to parse requirement: found '(', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be "
            "an integer",
        ),
        ("a/b/c", 'unable to parse requirement: <nil>: Invalid value: "a/b/c": a valid label key must consist of'),
        ("/b", 'unable to parse requirement: <nil>: Invalid value: "/b": prefix part must be non-empty'),
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of alphanumeric'),
        ("a=b$", 'unable to parse requirement: values[0][a]: Invalid value: "b$": a valid label must be an empty'),
        (
            "a=" + "x" * 64,
            f'unable to parse requirement: values[0][a]: Invalid value: "{"x" * 64}": must be no more than 63 bytes',
        ),
        ("x" * 64, f'unable to parse requirement: <nil>: Invalid value: "{"x" * 64}": name part must be no more than'),
    ],
)
def test_how_label_selectors_are_refused(text, message):
    with pytest.raises(SelectorError) as refused:
        parse_label_selector(text)
    assert str(refused.value).startswith(message)


def test_field_selectors_escape_what_separates():
    selector = parse_field_selector(r"a=b\,c\=d\\,x!=y,z==")
    assert [(each.field, each.value, each.equal) for each in selector.requirements] == [
        ("a", "b,c=d\\", True),
        ("x", "y", False),
        ("z", "", True),
    ]
    assert not parse_field_selector("")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=b\n", r"invalid field selector: invalid escape sequence: \n"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_how_field_selectors_are_refused(text, message):
    with pytest.raises(SelectorError) as refused:
        parse_field_selector(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("value", "above"),
    [
        pytest.param("2", True, id="a number"),
        pytest.param("+02", True, id="a sign and zeros"),
        pytest.param("-2", False, id="negative"),
        pytest.param("1_000", False, id="Python's own way"),
        pytest.param("9223372036854775807", True, id="the largest"),
        pytest.param("9223372036854775808", False, id="too large"),
        pytest.param("x", False, id="no number"),
        pytest.param("", False, id="empty"),
    ],
)
def test_labels_compare_as_numbers_of_64_bits(value: str, above: bool) -> None:
    assert parse_label_selector("size>1").matches({"size": value}) is above
