"""Properties of decoding that hold for any document of any kind."""

import copy

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.catalogue import builtin
from k8slite.quantity import canonical, parse
from k8slite.schema import FieldFacts, Schemas, TypeFacts

SCHEMAS = Schemas()
KINDS = sorted((row.group, row.version, row.kind) for row in builtin())
MOMENTS = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0"))
QUANTITIES = st.tuples(
    st.integers(0, 10**7), st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-3"])
).map(lambda parts: f"{parts[0]}{parts[1]}")
TEXT = st.text(max_size=5)
SCALARS = {
    "string": TEXT,
    "boolean": st.booleans(),
    "int32": st.integers(-(1 << 31), (1 << 31) - 1),
    "int64": st.integers(-(1 << 63), (1 << 63) - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "byte": st.sampled_from(["", "aGk=", "aGkh", "aA=="]),
    "time": MOMENTS.map(lambda text: text + "Z"),
    "microtime": MOMENTS.map(lambda text: text + ".123Z"),
    "quantity": QUANTITIES,
    "int-or-string": st.one_of(TEXT, st.integers(0, 99)),
    "object": st.dictionaries(TEXT, st.one_of(TEXT, st.none()), max_size=2),
    "any": st.one_of(TEXT, st.none(), st.booleans()),
}


@st.composite
def documents(draw, facts: TypeFacts, depth: int = 0):
    names = draw(st.lists(st.sampled_from(sorted(facts.fields)), max_size=4, unique=True)) if facts.fields else []
    return {name: draw(values(facts.fields[name], 0, depth)) for name in names if name not in ("kind", "apiVersion")}


@st.composite
def values(draw, field: FieldFacts, level: int, depth: int):
    if level < len(field.shape):
        inner = values(field, level + 1, depth)
        if field.shape[level] == "list":
            return draw(st.lists(inner, max_size=2 if depth < 4 else 0))
        return draw(st.dictionaries(TEXT, inner, max_size=2 if depth < 4 else 0))
    if field.type is None:
        return draw(SCALARS[field.scalar])
    return draw(documents(field.type, depth + 1)) if depth < 4 else {}


@st.composite
def objects(draw):
    group, version, kind = draw(st.sampled_from(KINDS))
    facts = SCHEMAS.type_of(group, version, kind)
    assert facts is not None
    return (group, version, kind), draw(documents(facts))


@settings(max_examples=150, deadline=None)
@given(objects())
def test_decoding_is_stable(made):
    (group, version, kind), document = made
    place = {"group": group, "version": version, "kind": kind}
    once = SCHEMAS.decode(orjson.dumps(document), **place, strictness="Strict")
    again = SCHEMAS.decode(orjson.dumps(once.object), **place, strictness="Strict")
    assert again.object == once.object
    assert orjson.dumps(again.object) == orjson.dumps(once.object)
    assert again.causes == once.causes
    before = copy.deepcopy(once.object)
    assert SCHEMAS.check(once.object, **place).object == before


@given(QUANTITIES)
def test_canonical_quantities_keep_their_value(text):
    form = canonical(text)
    assert parse(form) >= parse(text)
    assert parse(form) - parse(text) < parse("1n")
    assert canonical(form) == form
