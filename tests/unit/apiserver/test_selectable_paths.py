"""What is told of a field without decoding its object is what decoding it tells."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.watching.objects import Entry, Objects
from k8slite.apiserver.watching.paths import Path
from k8slite.selectors import EVERYTHING, parse_field_selector

TEXTS = st.sampled_from(["", "n1", "n-1.x", 'say "n1"', "ä", "true", "1", "1.0", "nodeName", '"nodeName"', "spec"])
VALUES = TEXTS | st.sampled_from([None, True, False, 1, 1.0, 10**17, 1e22])
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("nodeName"), inner, max_size=4),
    max_leaves=12,
)


@given(
    spec=st.dictionaries(st.sampled_from(["nodeName", "name", "spec"]), JSON, max_size=3) | JSON,
    more=st.dictionaries(TEXTS, JSON, max_size=3),
    wanted=TEXTS,
)
def test_what_is_told_is_so(spec: Any, more: dict[str, Any], wanted: str) -> None:
    document = {**more, "spec": spec}
    read = Path("spec.nodeName")
    assert read.told(orjson.dumps(document), wanted) in (None, read(document) == wanted)


@pytest.mark.parametrize(
    ("spec", "selector", "matches"),
    [
        ({}, "spec.nodeName=n1", False),
        ({}, "spec.nodeName!=n1", True),
        ({}, "spec.nodeName=", True),
        ({}, "spec.nodeName!=", False),
        ({"nodeName": "n2"}, "spec.nodeName=n1", False),
        ({"nodeName": "n2"}, "spec.nodeName!=n1", True),
    ],
)
def test_an_object_is_not_decoded_for_a_field_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch, spec: dict[str, str], selector: str, matches: bool
) -> None:
    objects = Objects("/core/pods/")
    objects.index({"spec.nodeName": Path("spec.nodeName")})
    entry = Entry("/core/pods/default/p", orjson.dumps({"metadata": {"labels": {"a": "b"}}, "spec": spec}), 1)
    fields = parse_field_selector(selector)
    if not matches:
        monkeypatch.setattr(orjson, "loads", None)
    assert objects.matches(entry, EVERYTHING, fields) is matches
