"""Definitions and CEL rules over the wire: what a client reads when it breaks one."""

from typing import Any

import pytest

from k8slite.testing.server import running_server

from .definitions import CRDS, custom, definition, version, wait_for

_GROUP = "cel.example.com"
_NAME = f"gauges.{_GROUP}"
_GAUGES = f"/apis/{_GROUP}/v1/namespaces/default/gauges"


def _definition(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", **spec}}}
    return definition("gauges", _GROUP, version(schema=schema))


def _gauge(spec: dict[str, Any]) -> dict[str, Any]:
    return custom(f"{_GROUP}/v1", "Gauge", "one", spec=spec)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_rules_are_checked_when_written_and_when_used(store: str) -> None:
    number = {"type": "integer"}
    rules = [
        {"rule": "self.value <= self.limit", "messageExpression": "'%d is over %d'.format([self.value, self.limit])"},
        {"rule": "self.limit == oldSelf.limit", "message": "limit is immutable", "fieldPath": ".limit"},
    ]
    properties = {"value": number, "limit": number}
    async with running_server(store=store) as running, running.http() as http:
        wrong = _definition({"properties": properties, "x-kubernetes-validations": [{"rule": "self.vaule > 1"}]})
        answer = await http.post(CRDS, json=wrong)
        assert answer.status_code == 422
        cause = answer.json()["details"]["causes"][0]
        assert cause["field"] == "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule"
        assert "compilation failed: ERROR: <input>:1:5: undefined field 'vaule'" in cause["message"]

        right = _definition({"properties": properties, "x-kubernetes-validations": rules})
        made = await http.post(CRDS, json=right)
        assert made.status_code == 201, made.text
        assert made.json()["spec"]["names"]["listKind"] == "GaugeList"
        assert made.json()["status"]["storedVersions"] == ["v1"]

        await wait_for(http, _NAME)
        refused = await http.post(_GAUGES, json=_gauge({"value": 3, "limit": 2}))
        assert refused.status_code == 422
        assert refused.json()["message"] == 'Gauge.cel.example.com "one" is invalid: spec: Invalid value: 3 is over 2'
        assert (await http.post(_GAUGES, json=_gauge({"value": 1, "limit": 2}))).status_code == 201
        changed = await http.patch(
            f"{_GAUGES}/one",
            json={"spec": {"limit": 5}},
            headers={"content-type": "application/merge-patch+json"},
        )
        assert changed.status_code == 422
        assert changed.json()["details"]["causes"] == [
            {
                "reason": "FieldValueInvalid",
                "message": "Invalid value: limit is immutable",
                "field": "spec.limit",
            }
        ]

        renamed = await http.get(f"{CRDS}/{_NAME}")
        body = renamed.json()
        body["spec"]["scope"] = "Cluster"
        answer = await http.put(f"{CRDS}/{_NAME}", json=body)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["details"]["causes"]] == ["spec.scope"]
