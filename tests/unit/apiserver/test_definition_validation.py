"""CustomResourceDefinitions: what is refused, where, and in Kubernetes' words."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.defaults.extension import customresourcedefinition as default
from k8slite.apiserver.validation.apiextensions import changed_definition, definition, new_definition

_SCHEMA = "spec.validation.openAPIV3Schema"


def crd(schema=None, **version):
    """A valid definition; `schema` is spec's, `version` overrides the version's fields."""
    properties = {"spec": schema if schema is not None else {"type": "object"}}
    obj = {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
                }
                | version
            ],
        },
        "status": {"storedVersions": ["v1"]},
    }
    default(obj)
    return obj


def texts(causes):
    return [f"{cause.field}: {cause.message}" for cause in causes]


def found(obj):
    return texts(definition(obj))


def test_a_plain_definition_is_right():
    assert found(crd()) == []


def test_defaults_fill_in_names_and_conversion():
    spec = crd()["spec"]
    assert spec["names"] == {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"}
    assert spec["conversion"] == {"strategy": "None"}


_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and "
    "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metadata.name", "other", 'metadata.name: Invalid value: "other": must be spec.names.plural+"."+spec.group'),
        ("spec.group", "", "spec.group: Required value"),
        ("spec.group", "example", 'spec.group: Invalid value: "example": should be a domain with at least one dot'),
        ("spec.scope", "", "spec.scope: Required value"),
        ("spec.scope", "All", 'spec.scope: Unsupported value: "All": supported values: "Cluster", "Namespaced"'),
        ("spec.names.plural", "Widgets", f'spec.names.plural: Invalid value: "Widgets": {_LABEL}'),
        ("spec.names.kind", "", "spec.names.kind: Required value"),
        (
            "spec.names.kind",
            "1",
            f'spec.names.kind: Invalid value: "1": may have mixed case, but should otherwise match: {_LABEL}',
        ),
        (
            "spec.names.listKind",
            "Widget",
            'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same',
        ),
        ("spec.names.shortNames", ["W"], f'spec.names.shortNames[0]: Invalid value: "W": {_LABEL}'),
        ("spec.names.categories", ["a b"], f'spec.names.categories[0]: Invalid value: "a b": {_LABEL}'),
        (
            "spec.preserveUnknownFields",
            True,
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
            "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ),
        ("spec.conversion", {"strategy": ""}, "spec.conversion.strategy: Required value"),
        (
            "spec.conversion",
            {"strategy": "Webhook"},
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
        ("spec.conversion", {"strategy": "Webhook"}, "spec.conversion.conversionReviewVersions: Required value"),
        (
            "spec.conversion",
            {"strategy": "Webhook", "webhook": {"clientConfig": {}, "conversionReviewVersions": ["v9"]}},
            'spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1',
        ),
        (
            "spec.conversion",
            {
                "strategy": "Webhook",
                "webhook": {"clientConfig": {"url": "http://a"}, "conversionReviewVersions": ["v1"]},
            },
            "spec.conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; "
            "desired format: https://host[/path]",
        ),
        (
            "spec.conversion",
            {"strategy": "None", "webhook": {"clientConfig": {"url": "https://a"}}},
            "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
        ),
        (
            "status.storedVersions",
            ["v0", "v1"],
            'status.storedVersions[0]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage '
            "version, and must remain in spec.versions until a storage migration ensures no data remains "
            "persisted in v0 "
            "and removes v0 from status.storedVersions",
        ),
        (
            "status.storedVersions",
            [],
            "status.storedVersions: Invalid value: []: must have at least one stored version",
        ),
    ],
)
def test_fields(path, value, expected):
    obj = crd()
    *parents, last = path.split(".")
    place = obj
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    assert expected in found(obj)


def test_versions():
    obj = crd()
    obj["spec"]["versions"].append(copy.deepcopy(obj["spec"]["versions"][0]))
    reported = found(obj)
    assert any(text.endswith("must contain unique version names") for text in reported)
    assert any(text.endswith("must have exactly one version marked as storage version") for text in reported)
    obj = crd(name="V1")
    obj["spec"]["versions"][0]["schema"] = None
    assert f'spec.versions[0].name: Invalid value: "V1": {_LABEL}' in found(obj)
    assert "spec.versions[0].schema.openAPIV3Schema: Required value" in found(obj)


def test_versions_that_differ_are_reported_each():
    obj = crd({"type": "text"})
    other = copy.deepcopy(obj["spec"]["versions"][0]) | {"name": "v2", "storage": False}
    other["schema"]["openAPIV3Schema"]["properties"]["spec"] = {}
    obj["spec"]["versions"].append(other)
    assert found(obj) == [
        'spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Unsupported value: "text": supported values: '
        '"array", "boolean", "integer", "number", "object", "string"',
        "spec.versions[1].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for "
        "specified "
        "object fields",
    ]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            {"deprecationWarning": "old"},
            'spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions',
        ),
        (
            {"deprecated": True, "deprecationWarning": "a\nb"},
            'spec.versions[0].deprecationWarning: Invalid value: "a\\nb": must only contain printable UTF-8 '
            "characters; non-printable character found at index 1",
        ),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "text", "jsonPath": "spec"}]},
            'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of '
            "boolean,date,integer,number,string",
        ),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "text", "jsonPath": "spec"}]},
            'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path '
            "starting with .",
        ),
        ({"subresources": {"scale": {}}}, "spec.subresources.scale.specReplicasPath: Required value"),
        (
            {"subresources": {"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": ".status.n"}}},
            'spec.subresources.scale.specReplicasPath: Invalid value: ".status.n": should be a json path under .spec',
        ),
        (
            {"selectableFields": [{"jsonPath": ".spec"}]},
            'spec.selectableFields[0].jsonPath: Invalid value: ".spec": must point to a field of type string, '
            "boolean or "
            "integer. Enum string fields and strings with formats are allowed.",
        ),
        (
            {"selectableFields": [{"jsonPath": ".spec.no"}]},
            'spec.selectableFields[0].jsonPath: Invalid value: ".spec.no": is an invalid path: does not refer '
            "to a valid "
            "field",
        ),
        (
            {"selectableFields": [{"jsonPath": ".spec['a']"}]},
            "spec.selectableFields[0].jsonPath: Invalid value: \".spec['a']\": is an invalid path: array "
            "notation is not "
            "allowed",
        ),
    ],
)
def test_parts_of_versions(version, expected):
    assert expected in found(crd(**version))


def test_at_most_eight_selectable_fields():
    letters = "abcdefghi"
    schema = {"type": "object", "properties": {letter: {"type": "string"} for letter in letters}}
    selected = [{"jsonPath": f".spec.{letter}"} for letter in letters]
    assert found(crd(schema, selectableFields=selected[:8])) == []
    assert found(crd(schema, selectableFields=selected)) == [
        "spec.selectableFields: Too many: 9: must have at most 8 items"
    ]


_INTEGER = {"type": "integer"}
_BUDGET = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared)"
)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        # structural schemas
        ({}, ".type: Required value: must not be empty for specified object fields"),
        ({"type": "array"}, ".items: Required value: must be specified"),
        ({"type": "array", "items": {}}, ".items.type: Required value: must not be empty for specified array items"),
        (
            {"type": "object", "anyOf": [{"type": "string"}]},
            ".anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            {"type": "object", "not": {"properties": {"a": {"description": "x"}}}},
            ".not.properties[a].description: Forbidden: must be empty to be structural",
        ),
        (
            {"type": "object", "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]},
            ".allOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural",
        ),
        (
            {"type": "object", "allOf": [{"properties": {"metadata": {"minLength": 1}}}]},
            ".allOf[0].properties[metadata]: Forbidden: must not be specified in a nested context",
        ),
        (
            {"type": "string", "pattern": "["},
            '.pattern: Invalid value: "[": must be a valid regular expression, but isn\'t: error parsing '
            'regexp: missing '
            "]: [",
        ),
        (
            {"x-kubernetes-embedded-resource": True},
            ".type: Required value: must be object if x-kubernetes-embedded-resource is true",
        ),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True},
            ".properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without "
            "x-kubernetes-preserve-unknown-fields",
        ),
        (
            {"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True},
            ".x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if "
            "x-kubernetes-int-or-string is "
            "true",
        ),
        # unsupported words
        ({"type": "object", "$ref": "#/a"}, ".$ref: Forbidden: $ref is not supported"),
        (
            {"type": "array", "items": _INTEGER, "uniqueItems": True},
            ".uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            {"type": "object", "properties": {"a": _INTEGER}, "additionalProperties": _INTEGER},
            ".additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": False},
            ".x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        # list and map types
        (
            {"type": "string", "x-kubernetes-list-type": "set"},
            '.type: Invalid value: "string": must be array if x-kubernetes-list-type is specified',
        ),
        (
            {"type": "object", "x-kubernetes-map-type": "set"},
            '.x-kubernetes-map-type: Unsupported value: "set": supported values: "atomic", "granular"',
        ),
        (
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"},
            ".items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with "
            "x-kubernetes-list-type=set",
        ),
        (
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"},
            ".x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
            },
            ".items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must "
            "have a default or be a required property",
        ),
        (
            {"type": "array", "items": _INTEGER, "x-kubernetes-list-map-keys": ["a"]},
            ".x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty",
        ),
        # defaults
        (
            {"type": "object", "properties": {"a": _INTEGER}, "default": {"b": 1}},
            '.default: Invalid value: {"b":1}: must not have unknown fields',
        ),
        (
            {"type": "integer", "default": 1, "x-kubernetes-validations": [{"rule": "self > 1"}]},
            ".default: Invalid value: 1: failed rule: self > 1",
        ),
        (
            {"type": "integer", "default": "a"},
            '.default: Invalid value: "string":  in body must be of type integer: "string"',
        ),
        # rules
        ({"type": "integer", "x-kubernetes-validations": [{"rule": " "}]},
         ".x-kubernetes-validations[0].rule: Required value: rule is not specified"),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self >\n1"}]},
         ".x-kubernetes-validations[0].message: Required value: message must be specified if rule contains line "
         "breaks"),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "reason": "Because"}]},
         '.x-kubernetes-validations[0].reason: Unsupported value: "Because": supported values: "FieldValueDuplicate", '
         '"FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"'),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "fieldPath": ".a"}]},
         '.x-kubernetes-validations[0].fieldPath: Invalid value: ".a": must be a valid path'),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self"}]},
         '.x-kubernetes-validations[0].rule: Invalid value: {"rule":"self"}: cel expression must evaluate to a bool'),
        ({"type": "object", "x-kubernetes-validations": [{"rule": "self.a"}]},
         '.x-kubernetes-validations[0].rule: Invalid value: {"rule":"self.a"}: compilation failed: ERROR: <input>:1:5: '
         "undefined field 'a'\n | self.a\n | ....^"),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "messageExpression": "1"}]},
         '.x-kubernetes-validations[0].messageExpression: Invalid value: {"rule":"self > 1","messageExpression":"1"}: '
         "messageExpression must evaluate to a string"),
        ({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1", "optionalOldSelf": True}]},
         ".x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in "
         "rule"),
        ({"type": "array", "items": {**_INTEGER, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
         '.items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the '
         f"uncorrelatable portion of the schema within {_SCHEMA}.properties[spec]"),
        ({"type": "array", "items": {"type": "string"}, "x-kubernetes-validations": [
            {"rule": "self.all(a, self.all(b, a == b))"}]},
         ".x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x "
         f"{_BUDGET}"),
    ],
)  # fmt: skip
def test_schemas(schema, expected):
    assert f"{_SCHEMA}.properties[spec]{expected}" in found(crd(schema))


def test_bounds_make_a_rule_affordable():
    rule = {"rule": "self.all(a, self.all(b, a == b))"}
    strings = {"type": "string", "maxLength": 10}
    assert found(crd({"type": "array", "maxItems": 50, "items": strings, "x-kubernetes-validations": [rule]})) == []


def test_many_affordable_rules_are_too_much_together():
    one = {"type": "array", "maxItems": 1700, "items": _INTEGER}
    one["x-kubernetes-validations"] = [{"rule": "self.all(a, self.exists(b, a == b))"}]
    assert found(crd({"type": "object", "properties": {"p0": one}})) == [
        f"{_SCHEMA}.properties[spec].properties[p0].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost "
        f"exceeds budget by factor of 1.7x {_BUDGET}"
    ]
    one["maxItems"] = 1000
    reported = found(crd({"type": "object", "properties": {f"p{number}": one for number in range(20)}}))
    assert reported[-1] == (
        f"{_SCHEMA}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds "
        f"budget by factor of 1.201000x {_BUDGET}"
    )
    assert len(reported) == 5
    assert reported[0].endswith(
        "Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
    )


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ({"type": "string"}, '.type: Invalid value: "string": must be object at the root'),
        ({}, ".type: Required value: must not be empty at the root"),
        ({"type": "object", "nullable": True}, ".nullable: Forbidden: nullable cannot be true at the root"),
        (
            {"type": "object", "additionalProperties": _INTEGER},
            ".additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            {"type": "object", "properties": {"metadata": {"type": "object", "minProperties": 1}}},
            ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but "
            "metadata "
            "is implicitly specified",
        ),
        (
            {"type": "object", "properties": {"kind": _INTEGER}},
            '.properties[kind].type: Invalid value: "integer": must be string',
        ),
        (
            {"type": "object", "properties": {"a": _INTEGER}, "anyOf": [{"properties": {"b": {"minimum": 1}}}]},
            f".properties[b]: Required value: because it is defined in {_SCHEMA}.anyOf[0].properties[b]",
        ),
        (
            {"type": "object", "properties": {"metadata": {"type": "object", "default": {}}}},
            ".properties[metadata].default: Forbidden: must not be set in top-level metadata",
        ),
    ],
)
def test_roots(root, expected):
    assert f"{_SCHEMA}{expected}" in found(with_root(root))


def with_root(root, **version):
    obj = crd(**version)
    obj["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": root}
    return obj


def test_the_name_may_be_restricted_at_the_root():
    metadata = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}}
    assert found(with_root({"type": "object", "properties": {"metadata": metadata}})) == []


def test_with_a_status_subresource_the_root_says_little():
    root = {"type": "object", "properties": {"a": _INTEGER}, "anyOf": [{"required": ["a"]}]}
    reported = found(with_root(root, subresources={"status": {}}))
    assert len(reported) == 1
    assert reported[0].endswith("fields are allowed at the root of the schema if the status subresource is enabled")


def test_what_may_not_change():
    old, new = crd(), crd()
    new["spec"]["names"] = {"plural": "gadgets", "kind": "Gadget"}
    new["spec"]["scope"] = "Cluster"
    assert texts(changed_definition(new, old)) == [
        'spec.names.plural: Invalid value: "gadgets": field is immutable',
    ]
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    assert {cause.field for cause in changed_definition(new, old)} == {
        "spec.scope",
        "spec.names.kind",
        "spec.names.plural",
    }


@pytest.mark.parametrize(
    ("approval", "problems"),
    [("", 1), ("yes", 1), ("unapproved, testing", 0), ("https://github.com/kubernetes/enhancements/pull/1", 0)],
)
def test_groups_of_the_community_need_approval(approval, problems):
    obj = crd()
    obj["spec"]["group"] = "stable.k8s.io"
    obj["metadata"]["annotations"] = {"api-approved.kubernetes.io": approval}
    assert len(new_definition(obj)) == problems
    assert new_definition(crd()) == []


_WORDS = st.sampled_from(["string", "array", "object", "map", "set", "atomic", "", "a", "self == oldSelf", "["])
_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": _WORDS,
            "pattern": _WORDS,
            "nullable": st.booleans(),
            "x-kubernetes-list-type": _WORDS,
            "x-kubernetes-list-map-keys": st.lists(_WORDS, max_size=2),
            "x-kubernetes-int-or-string": st.booleans(),
            "x-kubernetes-embedded-resource": st.booleans(),
            "x-kubernetes-validations": st.lists(st.fixed_dictionaries({"rule": _WORDS}), max_size=2),
            "default": st.one_of(st.none(), st.integers(), st.just({"a": 1})),
            "maxItems": st.integers(-1, 5),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["object", "array"])},
        optional={
            "properties": st.dictionaries(_WORDS, inner, max_size=2),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(_SCHEMAS)
def test_no_schema_breaks_the_validation(schema):
    assert isinstance(found(crd(schema)), list)
