"""Custom resources in discovery and in OpenAPI: there within moments, and gone as soon."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .definitions import change, custom, definition, establish, path, remove, until, version

pytestmark = pytest.mark.asyncio(loop_scope="module")
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SCHEMA = {
    "type": "object",
    "description": "A thing.",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["maybe", "name"],
            "properties": {
                "name": {"type": "string", "pattern": "^a", "default": "ab"},
                "maybe": {"type": "string", "nullable": True},
                "port": {"x-kubernetes-int-or-string": True},
                "either": {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "open": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"a": {"type": "string"}},
                },
                "whole": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object"}},
                },
            },
        }
    },
}


async def schemas_3(http: httpx.AsyncClient, group: str, name: str) -> dict[str, Any]:
    answer = await http.get(f"/openapi/v3/apis/{group}/{name}")
    found: dict[str, Any] = answer.json()["components"]["schemas"] if answer.status_code == 200 else {}
    return found


async def definitions_2(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get("/openapi/v2")).json()["definitions"]
    return found


async def test_discovery_has_the_names_and_versions(http: httpx.AsyncClient) -> None:
    served = version("v1", subresources={"status": {}})
    made = definition(
        "boxes",
        "disco.example.com",
        version("v1beta1", storage=False),
        served,
        {**version("v2", storage=False), "served": False},
        kind="Box",
        names={"shortNames": ["bx"], "categories": ["all"], "singular": "abox"},
    )
    await establish(http, made)
    group = (await http.get("/apis/disco.example.com")).json()
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1"
    assert "disco.example.com" in [each["name"] for each in (await http.get("/apis")).json()["groups"]]
    rows = (await http.get("/apis/disco.example.com/v1")).json()["resources"]
    assert [row["name"] for row in rows] == ["boxes", "boxes/status"]
    assert (rows[0]["singularName"], rows[0]["shortNames"], rows[0]["categories"]) == ("abox", ["bx"], ["all"])
    assert (rows[0]["kind"], rows[0]["namespaced"]) == ("Box", True)
    assert rows[1]["verbs"] == ["get", "patch", "update"]
    whole = (await http.get("/apis", headers={"accept": _AGGREGATED})).json()
    mine = next(item for item in whole["items"] if item["metadata"]["name"] == "disco.example.com")
    assert [each["version"] for each in mine["versions"]] == ["v1", "v1beta1"]
    assert mine["versions"][0]["resources"] == [
        {
            "resource": "boxes",
            "responseKind": {"group": "disco.example.com", "version": "v1", "kind": "Box"},
            "scope": "Namespaced",
            "singularResource": "abox",
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "shortNames": ["bx"],
            "categories": ["all"],
            "subresources": [
                {
                    "subresource": "status",
                    "responseKind": {"group": "disco.example.com", "version": "v1", "kind": "Box"},
                    "verbs": ["get", "patch", "update"],
                }
            ],
        }
    ]
    await remove(http, "boxes.disco.example.com")
    assert (await http.get("/apis/disco.example.com")).status_code == 404


async def test_openapi_3_has_the_whole_schema(http: httpx.AsyncClient) -> None:
    made = definition("things", "three.example.com", version(schema=_SCHEMA), names={"listKind": "Things"})
    await establish(http, made)
    schemas = await schemas_3(http, "three.example.com", "v1")
    thing = schemas["com.example.three.v1.Thing"]
    assert thing["description"] == "A thing."
    assert thing["x-kubernetes-group-version-kind"] == [
        {"group": "three.example.com", "kind": "Thing", "version": "v1"}
    ]
    assert thing["properties"]["spec"]["properties"]["name"] == _SCHEMA["properties"]["spec"]["properties"]["name"]  # type: ignore[index]
    assert thing["properties"]["spec"]["properties"]["maybe"]["nullable"] is True
    assert "anyOf" in thing["properties"]["spec"]["properties"]["either"]
    meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    assert thing["properties"]["metadata"]["allOf"] == [{"$ref": meta}]
    whole = thing["properties"]["spec"]["properties"]["whole"]
    assert set(whole["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    listed = schemas["com.example.three.v1.Things"]
    assert listed["properties"]["items"]["items"] == {"$ref": "#/components/schemas/com.example.three.v1.Thing"}
    operations = (await http.get("/openapi/v3/apis/three.example.com/v1")).json()["paths"]
    assert "post" in operations["/apis/three.example.com/v1/namespaces/{namespace}/things"]
    patch = operations["/apis/three.example.com/v1/namespaces/{namespace}/things/{name}"]["patch"]
    assert set(patch["requestBody"]["content"]) == {
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/apply-patch+yaml",
    }
    answered = (await http.get(path(made))).json()
    assert answered["kind"] == "Things"
    await remove(http, "things.three.example.com")
    assert await schemas_3(http, "three.example.com", "v1") == {}


async def test_openapi_2_leaves_out_what_it_cannot_say(http: httpx.AsyncClient) -> None:
    await establish(http, definition("twos", "two.example.com", version(schema=_SCHEMA)))
    fields = (await definitions_2(http))["com.example.two.v1.Two"]["properties"]["spec"]
    assert fields["required"] == ["name"]
    assert fields["properties"]["maybe"] == {}
    assert fields["properties"]["port"] == {"x-kubernetes-int-or-string": True}
    assert fields["properties"]["either"] == {"type": "object"}
    assert fields["properties"]["open"] == {"x-kubernetes-preserve-unknown-fields": True}
    await remove(http, "twos.two.example.com")
    assert "com.example.two.v1.Two" not in await definitions_2(http)


async def test_a_schema_that_keeps_everything_is_published_as_any_object(http: httpx.AsyncClient) -> None:
    await establish(http, definition("opens", "open.example.com"))
    kind = {"group": "open.example.com", "kind": "Open", "version": "v1"}
    assert (await definitions_2(http))["com.example.open.v1.Open"] == {
        "type": "object",
        "x-kubernetes-group-version-kind": [kind],
    }
    await remove(http, "opens.open.example.com")


async def test_versions_that_are_renamed_or_not_served_vanish(http: httpx.AsyncClient) -> None:
    name = "news.renamed.example.com"
    await establish(http, definition("news", "renamed.example.com", version("v2"), version("v3", storage=False)))
    assert "com.example.renamed.v3.New" in await definitions_2(http)
    before = (await http.get("/openapi/v3")).json()["paths"]["apis/renamed.example.com/v2"]

    def rename(document: dict[str, Any]) -> None:
        document["spec"]["versions"][1]["name"] = "v4"

    await change(http, name, rename)

    async def renamed() -> bool:
        known = await definitions_2(http)
        return "com.example.renamed.v4.New" in known and "com.example.renamed.v3.New" not in known

    await until(renamed, "v4 is not published")
    assert "com.example.renamed.v2.New" in await definitions_2(http)
    assert await schemas_3(http, "renamed.example.com", "v3") == {}
    assert (await http.get("/openapi/v3")).json()["paths"]["apis/renamed.example.com/v2"] == before

    def withhold(document: dict[str, Any]) -> None:
        document["spec"]["versions"][1]["served"] = False

    await change(http, name, withhold)

    async def withheld() -> bool:
        return "com.example.renamed.v4.New" not in await definitions_2(http)

    await until(withheld, "v4 is still published")
    assert (await http.get("/apis/renamed.example.com/v4")).status_code == 404
    await remove(http, name)


async def test_tables_show_the_columns_of_the_definition(http: httpx.AsyncClient) -> None:
    columns = [
        {"name": "Count", "type": "integer", "jsonPath": ".spec.count"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status', "priority": 1},
        {"name": "Since", "type": "date", "jsonPath": ".spec.since"},
        {"name": "Good", "type": "boolean", "jsonPath": ".spec.good"},
    ]
    made = definition("tabs", "tables.example.com", version(additionalPrinterColumns=columns))
    await establish(http, made)
    spec = {"count": 3, "since": "2001-01-01T00:00:00Z", "good": True}
    status = {"conditions": [{"type": "Other", "status": "no"}, {"type": "Ready", "status": "yes"}]}
    body = custom("tables.example.com/v1", "Tab", "one", spec=spec, status=status)
    assert (await http.post(path(made), json=body)).status_code == 201
    await http.post(path(made), json=custom("tables.example.com/v1", "Tab", "two"))
    headers = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await http.get(path(made), headers=headers)).json()
    assert [(each["name"], each["type"], each["priority"]) for each in table["columnDefinitions"]] == [
        ("Name", "string", 0),
        ("Count", "integer", 0),
        ("Ready", "string", 1),
        ("Since", "date", 0),
        ("Good", "boolean", 0),
    ]
    assert table["columnDefinitions"][1]["description"].endswith("(in JSONPath format): .spec.count")
    one, two = (row["cells"] for row in table["rows"])
    assert one[:3] == ["one", 3, "yes"] and one[3].endswith("y") and one[4] is True
    assert two == ["two", None, None, None, None]
    await remove(http, "tabs.tables.example.com")
