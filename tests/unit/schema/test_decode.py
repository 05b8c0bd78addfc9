"""Documents that come in: what is accepted, what is repaired, what is refused and in which words."""

import copy

import orjson
import pytest

from k8slite.errors import ApiError
from k8slite.schema import Schemas

SCHEMAS = Schemas()
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "busybox",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
            }
        ]
    },
}


def decode(document, *, group="", version="v1", kind="Pod", strictness="Warn"):
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return SCHEMAS.decode(body, group=group, version=version, kind=kind, strictness=strictness)


def refusal(document, **kind):
    with pytest.raises(ApiError) as caught:
        decode(document, **kind)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    return caught.value.message


DEPLOYMENT = {"group": "apps", "version": "v1", "kind": "Deployment"}


def test_a_good_document_comes_back_whole():
    decoded = decode(POD)
    assert decoded.object == POD
    assert (decoded.warnings, decoded.causes) == ([], [])


def test_members_stand_in_the_order_of_stored_documents():
    shuffled = {
        "status": {"phase": "Running"},
        "spec": POD["spec"],
        "metadata": {"labels": {"a": "b"}, "name": "x", "resourceVersion": "7"},
        "apiVersion": "v1",
        "kind": "Pod",
    }
    for decoded in (decode(shuffled), decode({**shuffled, "unknown": 1})):
        assert list(decoded.object) == ["kind", "apiVersion", "metadata", "spec", "status"]
        assert list(decoded.object["metadata"]) == ["resourceVersion", "name", "labels"]


def test_kind_version_and_metadata_are_filled_in():
    decoded = decode({"spec": POD["spec"]})
    assert list(decoded.object) == ["kind", "apiVersion", "metadata", "spec"]
    assert decoded.object["metadata"] == {}


def test_unknown_fields_are_pruned_with_a_warning():
    document = copy.deepcopy(POD)
    document["spec"]["containers"][0]["imagePolicy"] = "x"
    document["spec"]["replicas"] = 2
    decoded = decode(document)
    assert decoded.object == POD
    assert sorted(decoded.warnings) == [
        'unknown field "spec.containers[0].imagePolicy"',
        'unknown field "spec.replicas"',
    ]


def test_unknown_fields_are_pruned_silently_when_ignored():
    decoded = decode({**POD, "extra": 1}, strictness="Ignore")
    assert decoded.object == POD
    assert decoded.warnings == []


def test_unknown_and_repeated_fields_are_named_in_the_order_of_the_document():
    body = b'{"metadata":{"nme":1},"odd":{},"spec":{"x":1,"replicas":2,"replicas":3,"template":{"y":1}},"even":{}}'
    decoded = SCHEMAS.decode(body, group="apps", version="v1", kind="Deployment", noticed=["before"])
    assert decoded.warnings == [
        "before",
        'unknown field "metadata.nme"',
        'unknown field "odd"',
        'unknown field "spec.x"',
        'duplicate field "spec.replicas"',
        'unknown field "spec.template.y"',
        'unknown field "even"',
    ]


def test_unknown_fields_are_refused_when_strict():
    message = refusal({**POD, "extra": 1, "more": 2}, strictness="Strict")
    assert message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "extra", unknown field "more"'
    )


@pytest.mark.parametrize("space", ["", " "])
def test_repeated_keys_are_noticed(space):
    body = f'{{"metadata":{space}{{"name":{space}"a","name":{space}"b"}}}}'.encode()
    decoded = decode(body, kind="ConfigMap")
    assert decoded.object["metadata"] == {"name": "b"}
    assert decoded.warnings == ['duplicate field "metadata.name"']
    assert 'strict decoding error: duplicate field "metadata.name"' in refusal(
        body, kind="ConfigMap", strictness="Strict"
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata":{"name":"a"},"data":{"text":"\\":\\":"}}',
        b'{ "metadata" : { "name" : "a" } }',
        b'{"metadata":{"name":"a"},"data":{"text":"\\u00e9"}}',
    ],
)
def test_odd_spelling_is_no_repetition(body):
    assert decode(body, kind="ConfigMap").warnings == []


def test_nulls_mean_unset():
    document = copy.deepcopy(POD)
    document["metadata"]["creationTimestamp"] = None
    document["spec"]["volumes"] = None
    document["status"] = None
    document["spec"]["containers"][0]["args"] = [None, "x"]
    document["metadata"]["annotations"] = {"a": None}
    decoded = decode(document)
    expected = copy.deepcopy(POD)
    expected["spec"]["containers"][0]["args"] = ["", "x"]
    expected["metadata"]["annotations"] = {"a": ""}
    assert decoded.object == expected
    assert decoded.warnings == []


def test_free_form_values_keep_their_nulls():
    data = {"spec": {"template": {"$patch": "replace", "x": None}}}
    decoded = decode({"data": data, "revision": 1}, group="apps", kind="ControllerRevision")
    assert decoded.object["data"] == data


def test_scalars_become_canonical():
    decoded = decode(
        {
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T02:00:00.5+02:00"},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi", "x": 2}}}]},
        }
    )
    assert decoded.object["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert decoded.object["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi", "x": "2"}
    lease = decode({"spec": {"renewTime": "2026-01-01T00:00:00Z"}}, group="coordination.k8s.io", kind="Lease")
    assert lease.object["spec"]["renewTime"] == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("document", "kind", "expected"),
    [
        (
            {"spec": {"replicas": "3"}},
            DEPLOYMENT,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": 1.5}},
            DEPLOYMENT,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": {"replicas": 1 << 31}},
            DEPLOYMENT,
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"spec": []},
            DEPLOYMENT,
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            {"spec": {"containers": "x"}},
            {},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            {"spec": {"containers": [{"image": True}]}},
            {},
            "json: cannot unmarshal bool into Go struct field Container.spec.containers.image of type string",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            {},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        ({"data": {"a": "a#=="}}, {"kind": "Secret"}, "illegal base64 data at input byte 1"),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            {},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            {"metadata": {"creationTimestamp": "2026-02-29T00:00:00Z"}},
            {},
            'parsing time "2026-02-29T00:00:00Z": value out of range',
        ),
        ([], {}, "json: cannot unmarshal array into Go value of type v1.Pod"),
    ],
)
def test_wrong_types_are_refused_in_kubernetes_words(document, kind, expected):
    name = kind.get("kind", "Pod")
    assert refusal(document, **kind) == f'{name} in version "v1" cannot be handled as a {name}: {expected}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"kind":', 'unexpected end of JSON input ({"kind":)'),
        (b"", "unexpected end of JSON input (<empty>)"),
        (b"hello", "invalid character 'h' looking for beginning of value (68656c6c6f)"),
        (b'{"a":1} x', "invalid character 'x' after top-level value ({\"a\":1} x)"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value ({\"a\":NaN})"),
    ],
)
def test_broken_json_is_refused(body, expected):
    assert refusal(body) == (
        "the object provided is unrecognized (must be of type Pod): "
        f"couldn't get version/kind; json parse error: {expected}"
    )


def test_another_kind_or_version_in_the_body_is_refused():
    assert refusal({"kind": "Pod", "apiVersion": "apps/v1"}, **DEPLOYMENT).startswith(
        'Pod in version "v1" cannot be handled as a Deployment: '
    )
    assert refusal({"kind": "Deployment", "apiVersion": "apps/v1beta1"}, **DEPLOYMENT) == (
        "the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)"
    )


@pytest.mark.parametrize(
    ("document", "kind", "fields"),
    [
        ({}, DEPLOYMENT, ["spec.selector", "spec.template"]),
        ({"spec": {"containers": []}}, {}, ["spec.containers"]),
        ({"spec": {"containers": [{"image": "x"}]}}, {}, ["spec.containers[0].name"]),
        ({"spec": {"containers": [{"name": "c", "ports": [{}]}]}}, {}, ["spec.containers[0].ports[0].containerPort"]),
        ({"spec": {"containers": [{"name": "c", "env": [{"value": "x"}]}]}}, {}, ["spec.containers[0].env[0].name"]),
        ({"metadata": {"name": "r"}}, {"group": "rbac.authorization.k8s.io", "kind": "Role"}, []),
        ({"value": 0}, {"group": "scheduling.k8s.io", "kind": "PriorityClass"}, []),
        ({"spec": {}}, {"group": "authentication.k8s.io", "kind": "TokenRequest"}, []),
        ({"status": {"conditions": [{}], "images": [{}]}}, {"kind": "Node"}, []),
    ],
)
def test_missing_fields_are_causes_for_the_validation_to_report(document, kind, fields):
    decoded = decode(document, **kind)
    assert [cause.field for cause in decoded.causes] == fields
    assert all(cause.reason == "FieldValueRequired" for cause in decoded.causes)


def test_a_decoded_document_is_checked_the_same_way_and_left_alone():
    document = copy.deepcopy(POD)
    document["spec"]["nonsense"] = {"a": None}
    before = copy.deepcopy(document)
    checked = SCHEMAS.check(document, group="", version="v1", kind="Pod")
    assert checked.object == POD
    assert checked.warnings == ['unknown field "spec.nonsense"']
    assert document == before


def test_a_leap_day_is_a_day():
    document = {"metadata": {"creationTimestamp": "2028-02-29T00:00:00Z"}}
    assert decode(document, kind="ConfigMap").object["metadata"] == document["metadata"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"data":' + b'{"a":' * 300 + b"1" + b"}" * 301,
        b'{"data":{"a":"\\ud800"}}',
        b'{"data":{"a":%s}}' % (b"9" * 30),
        b'{"data":{"a":%s}}' % (b"9" * 5000),
        b'{"data":"\xff"}',
        b"\xff\xfe",
        b"{\x00}",
        b"\x1f\x8b\x08",
    ],
    ids=["lists", "objects", "free-form", "surrogate", "integer", "digits", "utf-8", "binary", "zero", "gzip"],
)
@pytest.mark.parametrize("strictness", ["Ignore", "Warn", "Strict"])
def test_hostile_bodies_are_bad_requests(body, strictness):
    assert refusal(body, group="apps", kind="ControllerRevision", strictness=strictness)


def test_endless_schemas_are_bad_requests():
    schema = b'{"properties":{"a":' * 400 + b"null" + b"}}" * 400
    body = b'{"spec":{"versions":[{"schema":{"openAPIV3Schema":%s}}]}}' % schema
    assert refusal(body, group="apiextensions.k8s.io", kind="CustomResourceDefinition")


def test_an_unknown_kind_has_no_path():
    with pytest.raises(ApiError) as caught:
        decode({}, kind="Nonsense")
    assert caught.value.code == 404


def test_delete_options_of_any_group_are_read():
    for api_version in ("v1", "apps/v1", "meta.k8s.io/v1"):
        decoded = decode(
            {"kind": "DeleteOptions", "apiVersion": api_version, "gracePeriodSeconds": 0},
            group="example.com",
            kind="DeleteOptions",
        )
        assert decoded.object["gracePeriodSeconds"] == 0


def test_empty_lists_and_maps_are_none_unless_they_are_required() -> None:
    body = (
        b'{"metadata":{"name":"a","labels":{},"finalizers":[]},"spec":{"containers":[{"name":"c","image":"i",'
        b'"args":[],"resources":{"limits":{}}}],"volumes":[],"securityContext":{}}}'
    )
    found = Schemas().decode(body, group="", version="v1", kind="Pod", strictness="Strict").object
    assert found["metadata"] == {"name": "a"}
    container = {"name": "c", "image": "i", "resources": {}}
    assert found["spec"] == {"containers": [container], "securityContext": {}}
    body = b'{"metadata":{"name":"r"},"spec":{"limits":[]}}'
    ranges = Schemas().decode(body, group="", version="v1", kind="LimitRange").object
    assert ranges["spec"] == {"limits": []}
