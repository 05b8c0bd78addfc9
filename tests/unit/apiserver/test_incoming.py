"""Bodies in the form that verbs read."""

from __future__ import annotations

import orjson
import pytest

from k8slite.apiserver.wire.incoming import APPLY, readable
from k8slite.apiserver.wire.limits import MOST_VALUES
from k8slite.errors import ApiError

PROTOBUF = "application/vnd.kubernetes.protobuf"


async def test_json_and_what_is_unknown_stay_as_they_are() -> None:
    for media in ("application/json", "", "application/merge-patch+json", "text/plain"):
        body = await readable(b'{"a": 1}', media)
        assert (body.content, body.content_type, body.repeated) == (b'{"a": 1}', media, ())


@pytest.mark.parametrize("media", ["application/yaml", "text/x-yaml"])
async def test_yaml_becomes_json(media: str) -> None:
    body = await readable(b"a: 1\na: [b]", media)
    assert (body.content, body.content_type) == (b'{"a":["b"]}', "application/json")
    assert body.repeated == ['line 2: key "a" already set in map']
    assert (await readable(b"", media)).content == b""


async def test_large_yaml_becomes_the_same_json() -> None:
    data = {f"k{number}": "v" * 20 for number in range(5000)}
    text = "".join(f"{key}: {value}\n" for key, value in data.items())
    assert orjson.loads((await readable(text.encode(), "application/yaml")).content) == data


async def test_an_apply_may_be_either() -> None:
    assert (await readable(b' {"a": 1}', APPLY)).content == b' {"a": 1}'
    assert (await readable(b"a: 1", APPLY)) == (b'{"a":1}', APPLY, [])
    with pytest.raises(ApiError, match=r"^error decoding YAML: error converting YAML to JSON: yaml: line 1"):
        await readable(b"a: b: c", APPLY)


@pytest.mark.parametrize("media", ["application/json", "application/json-patch+json", APPLY])
async def test_values_are_counted_and_what_strings_hold_is_not(media: str) -> None:
    for many in (b"[" + b"1," * (MOST_VALUES - 1) + b"1]", b"[" * (MOST_VALUES + 1), b'["",' + b'"a",' * MOST_VALUES):
        with pytest.raises(ApiError) as refused:
            await readable(many, media)
        assert refused.value.code == 413
    text = orjson.dumps({"a": ',[{"\\' * MOST_VALUES})
    assert (await readable(text, media)).content == text


async def test_protobuf_is_counted_as_it_is_read() -> None:
    kind = b"\n\x0f\n\x02v1\x12\tConfigMap"
    with pytest.raises(ApiError) as refused:
        await readable(b"k8s\0" + kind + b"\x12\x80\x80\x20" + b"\x12\0" * (1 << 18), PROTOBUF)
    assert (refused.value.code, refused.value.message) == (
        413,
        f"Request entity too large: limit is {MOST_VALUES} values",
    )
