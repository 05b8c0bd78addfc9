"""The walkable facts: shapes and merge marks of well-known fields."""

import pytest

from k8slite.schema import Schemas, builtin_facts

SCHEMAS = Schemas()


def field(group, version, kind, path):
    facts = SCHEMAS.type_of(group, version, kind)
    found = None
    for name in path.split("."):
        assert facts is not None, path
        found = facts.field(name)
        assert found is not None, path
        facts = found.type
    return found


@pytest.mark.parametrize(
    ("path", "merge_key", "strategy"),
    [
        ("spec.containers", "name", {"merge"}),
        ("spec.volumes", "name", {"merge", "retainKeys"}),
        ("spec.containers.env", "name", {"merge"}),
        ("spec.containers.ports", "containerPort", {"merge"}),
        ("spec.containers.volumeMounts", "mountPath", {"merge"}),
        ("spec.imagePullSecrets", "name", {"merge"}),
        ("spec.hostAliases", "ip", {"merge"}),
        ("spec.topologySpreadConstraints", "topologyKey", {"merge"}),
        ("metadata.ownerReferences", "uid", {"merge"}),
        ("metadata.finalizers", "", {"merge"}),
        ("status.conditions", "type", {"merge"}),
        ("spec.tolerations", "", set()),
        ("spec.containers.args", "", set()),
    ],
)
def test_strategic_merge_marks(path, merge_key, strategy):
    found = field("", "v1", "Pod", path)
    assert found.is_list
    assert (found.merge_key, found.patch_strategy) == (merge_key, strategy)


def test_marks_outside_pods():
    assert field("", "v1", "Service", "spec.ports").merge_key == "port"
    assert field("apps", "v1", "Deployment", "spec.strategy").patch_strategy == {"retainKeys"}
    assert field("policy", "v1", "PodDisruptionBudget", "spec.selector").patch_strategy == {"replace"}


def test_apply_marks():
    ports = field("", "v1", "Pod", "spec.containers.ports")
    assert (ports.list_type, ports.list_map_keys) == ("map", ("containerPort", "protocol"))
    assert field("", "v1", "Pod", "metadata.finalizers").list_type == "set"
    assert field("", "v1", "Pod", "spec.nodeSelector").map_type == "atomic"
    selector = field("apps", "v1", "Deployment", "spec.selector").type
    assert selector is not None
    assert selector.map_type == "atomic"


def test_shapes():
    labels = field("", "v1", "Pod", "metadata.labels")
    assert (labels.is_map, labels.type, labels.scalar) == (True, None, "string")
    extra = field("authorization.k8s.io", "v1", "SubjectAccessReview", "spec.extra")
    assert (extra.shape, extra.scalar) == (("map", "list"), "string")
    limits = field("", "v1", "Pod", "spec.containers.resources.limits")
    assert (limits.shape, limits.scalar) == (("map",), "quantity")
    assert field("", "v1", "Pod", "spec").required is False


def test_unknown_kinds_and_fields_are_none():
    assert SCHEMAS.type_of("", "v1", "Nonsense") is None
    pod = SCHEMAS.type_of("", "v1", "Pod")
    assert pod is not None
    assert pod.field("nonsense") is None


def test_every_type_can_be_walked():
    table = builtin_facts()
    assert len(table.names()) > 800
    for name in table.names():
        for found in table.by_name(name).fields.values():
            assert (found.type is None) == bool(found.scalar)
            assert found.go_type
