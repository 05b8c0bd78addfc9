"""Custom objects: schemas, defaults, pruning, versions, subresources, selection."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from .definitions import change, custom, definition, establish, path, remove, until, version

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = {"content-type": "application/merge-patch+json"}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


async def test_defaults_come_for_requests_and_from_the_store(http: httpx.AsyncClient) -> None:
    plain = schema(a={"type": "string"}, b={"type": "string", "default": "B"})
    made = definition("foos", "defaults.example.com", version(schema=plain))
    await establish(http, made)
    url = path(made)
    first = (await http.post(url, json=custom("defaults.example.com/v1", "Foo", "one"))).json()
    assert (first.get("a"), first["b"]) == (None, "B")
    assert (await http.get(f"{url}/one")).json() == first

    def default_a(document: dict[str, Any]) -> None:
        properties = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        properties["a"]["default"] = "A"
        del properties["b"]["default"]

    await change(http, "foos.defaults.example.com", default_a)

    async def defaulted() -> bool:
        return bool((await http.get(f"{url}/one")).json().get("a") == "A")

    await until(defaulted, "the stored object is not defaulted")
    got = (await http.get(f"{url}/one")).json()
    assert (got["a"], got["b"], got["metadata"]["resourceVersion"]) == ("A", "B", first["metadata"]["resourceVersion"])
    listed = (await http.get(url)).json()
    assert listed["items"] == [got]
    second = (await http.post(url, json=custom("defaults.example.com/v1", "Foo", "two"))).json()
    assert (second["a"], second.get("b")) == ("A", None)
    watched = await lines(http, url, {"resourceVersion": "0"}, 2)
    assert {event["object"]["metadata"]["name"]: event["object"]["a"] for event in watched} == {"one": "A", "two": "A"}
    touched = await http.patch(f"{url}/one", json={"metadata": {"labels": {"x": "y"}}}, headers=MERGE)
    assert (touched.json()["a"], touched.json()["b"]) == ("A", "B")
    await remove(http, "foos.defaults.example.com")


async def lines(http: httpx.AsyncClient, url: str, params: dict[str, str], count: int) -> list[dict[str, Any]]:
    """The first events of a watch."""
    found: list[dict[str, Any]] = []
    async with http.stream("GET", url, params={"watch": "1", "timeoutSeconds": "5", **params}) as stream:
        async for line in stream.aiter_lines():
            found.append(json.loads(line))
            if len(found) == count:
                break
    return found


async def test_what_the_schema_drops_later_is_not_shown(http: httpx.AsyncClient) -> None:
    made = definition("bars", "pruned.example.com", version(schema=schema(a={"type": "string"}, b={"type": "string"})))
    await establish(http, made)
    await http.post(path(made), json=custom("pruned.example.com/v1", "Bar", "one", a="1", b="2"))

    def drop_b(document: dict[str, Any]) -> None:
        del document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["b"]

    await change(http, "bars.pruned.example.com", drop_b)

    async def pruned() -> bool:
        return "b" not in (await http.get(f"{path(made)}/one")).json()

    await until(pruned, "b is still shown")
    assert (await http.get(f"{path(made)}/one")).json()["a"] == "1"
    await remove(http, "bars.pruned.example.com")


async def test_unknown_fields_are_ignored_warned_of_or_refused(http: httpx.AsyncClient) -> None:
    made = definition("bazs", "fields.example.com", version(schema=schema(spec=schema(a={"type": "string"}))))
    await establish(http, made)
    body = custom("fields.example.com/v1", "Baz", "one", spec={"a": "1", "foo": {"deep": 1}}, bar=2)
    body["metadata"]["unknown"] = 1
    everything = ['unknown field "metadata.unknown"', 'unknown field "bar"', 'unknown field "spec.foo"']
    refused = await http.post(path(made), json=body, params={"fieldValidation": "Strict"})
    assert refused.status_code == 400
    words = "strict decoding error: " + ", ".join(everything)
    assert refused.json()["message"] == f'Baz in version "v1" cannot be handled as a Baz: {words}'
    warned = await http.post(path(made), json=body, params={"fieldValidation": "Warn", "dryRun": "All"})
    told = [text.replace("\\", "") for text in warned.headers.get_list("warning")]
    assert told == [f'299 - "{text}"' for text in everything]
    ignored = await http.post(path(made), json=body, params={"fieldValidation": "Ignore"})
    assert ignored.status_code == 201 and "warning" not in ignored.headers
    assert ignored.json()["spec"] == {"a": "1"} and "bar" not in ignored.json()
    await remove(http, "bazs.fields.example.com")


async def test_repeated_fields_are_found_even_where_all_are_kept(http: httpx.AsyncClient) -> None:
    made = definition("dups", "dups.example.com")
    await establish(http, made)
    body = '{"kind":"Dup","apiVersion":"dups.example.com/v1","metadata":{"name":"a"},"spec":{"x":[{"foo":1,"foo":2}]}}'
    headers = {"content-type": "application/json"}
    refused = await http.post(path(made), content=body, params={"fieldValidation": "Strict"}, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["message"].endswith('strict decoding error: duplicate field "spec.x[0].foo"')
    await remove(http, "dups.dups.example.com")


async def test_the_metadata_of_embedded_objects_is_checked(http: httpx.AsyncClient) -> None:
    template = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    made = definition("subs", "embedded.example.com", version(schema=schema(spec=schema(template=template))))
    await establish(http, made)

    async def post(inner: dict[str, Any], validation: str = "Ignore") -> httpx.Response:
        body = custom("embedded.example.com/v1", "Sub", "one", spec={"template": inner})
        return await http.post(path(made), json=body, params={"fieldValidation": validation, "dryRun": "All"})

    strict = await post({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "odd": 1}}, "Strict")
    assert strict.json()["message"].endswith('strict decoding error: unknown field "spec.template.metadata.odd"')
    kept = await post({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "odd": 1}, "anything": {"goes": 1}})
    assert kept.json()["spec"]["template"] == {
        "apiVersion": "v1",
        "kind": "X",
        "metadata": {"name": "a"},
        "anything": {"goes": 1},
    }
    missing = await post({"metadata": {"name": "a"}})
    assert {cause["field"]: cause["reason"] for cause in missing.json()["details"]["causes"]} == {
        "spec.template.apiVersion": "FieldValueRequired",
        "spec.template.kind": "FieldValueRequired",
    }
    await remove(http, "subs.embedded.example.com")


async def test_versions_differ_in_name_and_schema(http: httpx.AsyncClient) -> None:
    old = version("v1beta1", schema=schema(spec=schema(a={"type": "string"})), storage=False)
    new = version("v1", schema=schema(spec=schema(a={"type": "string"}, b={"type": "integer", "default": 7})))
    made = definition("vers", "versions.example.com", old, new)
    await establish(http, made)
    body = custom("versions.example.com/v1beta1", "Ver", "one", spec={"a": "x"})
    created = await http.post(path(made, "v1beta1"), json=body)
    assert created.status_code == 201
    assert (created.json()["apiVersion"], created.json()["spec"]) == ("versions.example.com/v1beta1", {"a": "x"})
    newer = (await http.get(f"{path(made)}/one")).json()
    assert (newer["apiVersion"], newer["spec"]) == ("versions.example.com/v1", {"a": "x", "b": 7})
    listed = (await http.get(path(made, "v1beta1"))).json()
    assert (listed["kind"], listed["apiVersion"]) == ("VerList", "versions.example.com/v1beta1")
    assert listed["items"] == [created.json()]
    event = (await lines(http, path(made, "v1beta1"), {}, 1))[0]
    assert event["object"] == created.json()
    changed = await http.patch(f"{path(made, 'v1beta1')}/one", json={"spec": {"a": "y"}}, headers=MERGE)
    assert (changed.json()["apiVersion"], changed.json()["spec"]) == ("versions.example.com/v1beta1", {"a": "y"})
    wrong = await http.post(path(made), json=body)
    assert wrong.status_code == 400
    assert wrong.json()["message"] == (
        "the API version in the data (versions.example.com/v1beta1) does not match the expected API version "
        "(versions.example.com/v1)"
    )
    await remove(http, "vers.versions.example.com")


async def test_a_version_that_is_stored_need_not_be_served(http: httpx.AsyncClient) -> None:
    made = definition("hids", "hidden.example.com", {**version("v2"), "served": False}, version("v1", storage=False))
    await establish(http, made)
    body = custom("hidden.example.com/v1", "Hid", "one", spec={"a": 1})
    created = (await http.post(path(made), json=body)).json()
    assert created["apiVersion"] == "hidden.example.com/v1"
    assert (await http.get(f"{path(made)}/one")).json() == created
    assert (await http.get(path(made, "v2"))).status_code == 404
    await remove(http, "hids.hidden.example.com")


async def test_a_change_of_the_stored_version_keeps_objects(http: httpx.AsyncClient) -> None:
    made = definition("movs", "moved.example.com", version("v1"), version("v2", storage=False))
    await establish(http, made)
    await http.post(path(made), json=custom("moved.example.com/v1", "Mov", "one", spec={"a": 1}))

    def swap(document: dict[str, Any]) -> None:
        for each in document["spec"]["versions"]:
            each["storage"] = each["name"] == "v2"

    await change(http, "movs.moved.example.com", swap)
    for name in ("v1", "v2"):
        items = (await http.get(path(made, name))).json()["items"]
        assert [(item["apiVersion"], item["spec"]) for item in items] == [(f"moved.example.com/{name}", {"a": 1})]
    await remove(http, "movs.moved.example.com")


async def test_status_has_an_endpoint_of_its_own(http: httpx.AsyncClient) -> None:
    counted = schema(spec=schema(n={"type": "integer"}), status=schema(n={"type": "integer", "maximum": 5}))
    made = definition("stas", "status2.example.com", version(schema=counted, subresources={"status": {}}))
    await establish(http, made)
    body = custom("status2.example.com/v1", "Sta", "one", spec={"n": 1}, status={"n": 1})
    created = (await http.post(path(made), json=body)).json()
    assert "status" not in created and created["metadata"]["generation"] == 1
    url = f"{path(made)}/one"
    written = await http.put(f"{url}/status", json={**created, "spec": {"n": 9}, "status": {"n": 2}})
    assert (written.json()["spec"], written.json()["status"]) == ({"n": 1}, {"n": 2})
    assert written.json()["metadata"]["generation"] == 1
    changed = await http.patch(url, json={"spec": {"n": 3}, "status": {"n": 4}}, headers=MERGE)
    assert (changed.json()["spec"], changed.json()["status"]) == ({"n": 3}, {"n": 2})
    assert changed.json()["metadata"]["generation"] == 2
    wrong = await http.patch(f"{url}/status", json={"status": {"n": 6}}, headers=MERGE)
    assert wrong.status_code == 422
    assert wrong.json()["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: 6: n in body should be less than or equal to 5",
            "field": "status.n",
        }
    ]
    await remove(http, "stas.status2.example.com")


async def test_without_an_endpoint_the_status_is_like_any_field(http: httpx.AsyncClient) -> None:
    made = definition("nosts", "nostatus.example.com")
    await establish(http, made)
    body = custom("nostatus.example.com/v1", "Nost", "one", status={"n": 1})
    assert (await http.post(path(made), json=body)).json()["status"] == {"n": 1}
    changed = await http.patch(f"{path(made)}/one", json={"status": {"n": 2}}, headers=MERGE)
    assert (changed.json()["status"], changed.json()["metadata"]["generation"]) == ({"n": 2}, 2)
    assert (await http.get(f"{path(made)}/one/status")).status_code == 404
    await remove(http, "nosts.nostatus.example.com")


async def test_scale_reads_and_writes_the_paths_of_the_definition(http: httpx.AsyncClient) -> None:
    paths = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    }
    made = definition("scas", "scale.example.com", version(subresources={"status": {}, "scale": paths}))
    await establish(http, made)
    await http.post(path(made), json=custom("scale.example.com/v1", "Sca", "one", spec={"size": 2}))
    url = f"{path(made)}/one"
    status = {"status": {"size": 1, "selector": "a=b"}}
    assert (await http.patch(f"{url}/status", json=status, headers=MERGE)).status_code == 200
    scale = (await http.get(f"{url}/scale")).json()
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 2},
        {"replicas": 1, "selector": "a=b"},
    )
    scale["spec"]["replicas"] = 5
    assert (await http.put(f"{url}/scale", json=scale)).status_code == 200
    assert (await http.get(url)).json()["spec"] == {"size": 5}
    wrong = await http.patch(url, json={"spec": {"size": -1}}, headers=MERGE)
    assert wrong.json()["message"].endswith(".spec.size: Invalid value: -1: should be a non-negative integer")
    await http.post(path(made), json=custom("scale.example.com/v1", "Sca", "bare"))
    none = await http.get(f"{path(made)}/bare/scale")
    assert none.status_code == 500
    assert none.json()["message"].endswith('the spec replicas field ".spec.size" does not exist')
    await remove(http, "scas.scale.example.com")


async def test_selectable_fields_select(http: httpx.AsyncClient) -> None:
    shirts = schema(spec=schema(color={"type": "string"}, size={"type": "integer"}))
    fields = [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}]
    made = definition("shirts", "select.example.com", version(schema=shirts, selectableFields=fields))
    await establish(http, made)
    for name, color, size in (("a", "blue", 1), ("b", "blue", 2), ("c", "red", 1)):
        body = custom("select.example.com/v1", "Shirt", name, spec={"color": color, "size": size})
        assert (await http.post(path(made), json=body)).status_code == 201

    async def select(selector: str) -> list[str]:
        answer = await http.get(path(made), params={"fieldSelector": selector})
        return [item["metadata"]["name"] for item in answer.json()["items"]]

    assert await select("spec.color=blue") == ["a", "b"]
    assert await select("spec.color=blue,spec.size=2") == ["b"]
    assert await select("spec.color!=blue") == ["c"]
    unknown = await http.get(path(made), params={"fieldSelector": "spec.other=1"})
    assert unknown.status_code == 400
    assert unknown.json()["message"] == "field label not supported: spec.other"
    await remove(http, "shirts.select.example.com")


async def test_fields_are_selected_by_their_values_in_the_version_that_is_asked_for(http: httpx.AsyncClient) -> None:
    colors = [schema(spec=schema(color={"type": "string", "default": color})) for color in ("red", "blue")]
    fields = [{"jsonPath": ".spec.color"}]
    made = definition(
        "socks",
        "select.example.com",
        version("v1", schema=schema(spec=schema())),
        version("v2", schema=colors[1], storage=False, selectableFields=fields),
    )
    await establish(http, made)
    assert (await http.post(path(made), json=custom("select.example.com/v1", "Sock", "a", spec={}))).status_code == 201

    async def select(version: str, selector: str) -> list[str]:
        answer = await http.get(path(made, version), params={"fieldSelector": selector})
        return [item["metadata"]["name"] for item in answer.json()["items"]]

    assert (await select("v2", "spec.color=blue"), await select("v2", "spec.color=red")) == (["a"], [])

    def color(document: dict[str, Any]) -> None:
        old = document["spec"]["versions"][0]
        old["schema"]["openAPIV3Schema"], old["selectableFields"] = colors[0], fields

    await change(http, "socks.select.example.com", color)

    async def red() -> bool:
        answer = await http.get(path(made), params={"fieldSelector": "spec.color=red"})
        return answer.status_code == 200 and len(answer.json()["items"]) == 1

    await until(red, "a default of a later schema does not count")
    assert await select("v1", "spec.color=blue") == []
    await remove(http, "socks.select.example.com")


async def test_watches_of_a_changed_definition_end(http: httpx.AsyncClient) -> None:
    made = definition("wats", "watches.example.com", version(schema=schema(a={"type": "string"})))
    await establish(http, made)
    seen: list[str] = []
    async with http.stream("GET", path(made), params={"watch": "1", "timeoutSeconds": "30"}) as stream:

        def widen(document: dict[str, Any]) -> None:
            document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["b"] = {"type": "string"}

        await http.post(path(made), json=custom("watches.example.com/v1", "Wat", "one"))
        await change(http, "wats.watches.example.com", widen)
        async for line in stream.aiter_lines():
            seen.append(json.loads(line)["type"])
    assert seen == ["ADDED"]
    await remove(http, "wats.watches.example.com")


async def test_updates_are_conditional(http: httpx.AsyncClient) -> None:
    made = definition("cons", "conditional.example.com")
    await establish(http, made)
    created = (await http.post(path(made), json=custom("conditional.example.com/v1", "Con", "one"))).json()
    del created["metadata"]["resourceVersion"]
    refused = await http.put(f"{path(made)}/one", json=created)
    assert refused.status_code == 422
    assert refused.json()["message"].endswith(
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    )
    strategic = await http.patch(
        f"{path(made)}/one", json={}, headers={"content-type": "application/strategic-merge-patch+json"}
    )
    assert strategic.status_code == 415
    await remove(http, "cons.conditional.example.com")


async def test_what_was_wrong_before_does_not_block_other_changes(http: httpx.AsyncClient) -> None:
    made = definition("rats", "ratchet.example.com", version(schema=schema(a={"type": "string"}, b={"type": "string"})))
    await establish(http, made)
    await http.post(path(made), json=custom("ratchet.example.com/v1", "Rat", "one", a="long", b="x"))

    def shorten(document: dict[str, Any]) -> None:
        document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["a"]["maxLength"] = 1

    await change(http, "rats.ratchet.example.com", shorten)

    async def refused() -> bool:
        answer = await http.post(path(made), json=custom("ratchet.example.com/v1", "Rat", "two", a="long"))
        return answer.status_code == 422

    await until(refused, "the new rule does not hold")
    assert (await http.patch(f"{path(made)}/one", json={"b": "y"}, headers=MERGE)).status_code == 200
    wrong = await http.patch(f"{path(made)}/one", json={"a": "longer"}, headers=MERGE)
    assert (
        wrong.json()["message"] == 'Rat.ratchet.example.com "one" is invalid: a: Too long: may not be more than 1 byte'
    )
    await remove(http, "rats.ratchet.example.com")


async def test_a_write_that_changes_nothing_keeps_the_revision(http: httpx.AsyncClient) -> None:
    filled = schema(spec=schema(a={"type": "string"}, b={"type": "integer", "default": 1}))
    made = definition("idles", "idle.example.com", version(schema=filled))
    await establish(http, made)
    created = (await http.post(path(made), json=custom("idle.example.com/v1", "Idle", "one", spec={"a": "x"}))).json()
    again = await http.put(f"{path(made)}/one", json=created)
    assert again.json()["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]
    nulled = await http.patch(f"{path(made)}/one", json={"spec": {"b": None}}, headers=MERGE)
    assert nulled.json() == created
    await remove(http, "idles.idle.example.com")


async def test_rules_of_a_schema_are_run(http: httpx.AsyncClient) -> None:
    rules = [{"rule": "self.least <= self.most", "message": "least must not be more than most"}]
    ordered = {**schema(least={"type": "integer"}, most={"type": "integer"}), "x-kubernetes-validations": rules}
    made = definition("rules", "cel.example.com", version(schema=schema(spec=ordered)))
    await establish(http, made)
    broken = custom("cel.example.com/v1", "Rule", "one", spec={"least": 2, "most": 1})
    refused = await http.post(path(made), json=broken)
    assert refused.status_code == 422
    assert "spec: Invalid value: " in refused.json()["message"]
    assert refused.json()["message"].endswith(": least must not be more than most")
    mistyped = await http.post(
        path(made), json=custom("cel.example.com/v1", "Rule", "one", spec={"least": "2", "most": 1})
    )
    unchecked = "some validation rules were not checked because the object was invalid; correct the existing errors"
    assert f"<nil>: Invalid value: null: {unchecked} to complete validation" in mistyped.json()["message"]
    await remove(http, "rules.cel.example.com")


async def test_a_new_object_has_the_default_of_its_status_and_nobody_owns_it(http: httpx.AsyncClient) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"a": {"type": "string"}}},
            "status": {
                "type": "object",
                "default": {"phase": "Pending"},
                "properties": {"phase": {"type": "string"}},
            },
        },
    }
    made = definition("waiters", "waiting.example.com", {**version(schema=schema), "subresources": {"status": {}}})
    await establish(http, made)
    waiter = {**custom("waiting.example.com/v1", "Waiter", "one"), "spec": {"a": "b"}, "status": {"phase": "Mine"}}
    created = await http.post(path(made), json=waiter)
    assert created.status_code == 201, created.text
    assert created.json()["status"] == {"phase": "Pending"}
    assert all("f:status" not in each["fieldsV1"] for each in created.json()["metadata"]["managedFields"])
    got = await http.get(f"{path(made)}/one")
    assert got.json() == created.json()
    assert (await http.put(f"{path(made)}/one", json=got.json())).json() == got.json()
    await remove(http, "waiters.waiting.example.com")
