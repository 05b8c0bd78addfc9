"""The catalogue: what is served, and what a user's word means."""

import pytest

from k8slite.catalogue import builtin, version_rank
from k8slite.schema import builtin_facts


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("pods", "pods"),
        ("pod", "pods"),
        ("po", "pods"),
        ("Pod", "pods"),
        ("pods.v1.", "pods"),
        ("deploy", "deployments.apps"),
        ("deployments.apps", "deployments.apps"),
        ("deployments.v1.apps", "deployments.apps"),
        ("deploy.apps", "deployments.apps"),
        ("events", "events"),
        ("events.events.k8s.io", "events.events.k8s.io"),
        ("ing", "ingresses.networking.k8s.io"),
        ("crd", "customresourcedefinitions.apiextensions.k8s.io"),
        ("deployments.batch", None),
        ("deployments.v2.apps", None),
        ("nonsense", None),
    ],
)
def test_words_find_their_resource(word, expected):
    found = builtin().resolve(word)
    assert (found and found.qualified) == expected


def test_a_bare_word_means_the_preferred_version():
    catalogue = builtin()
    found, old = catalogue.resolve("hpa"), catalogue.resolve("hpa.v1.autoscaling")
    assert found is not None
    assert old is not None
    assert (found.version, old.version) == ("v2", "v1")
    assert catalogue.stored(old) is found


def test_events_are_stored_once():
    catalogue = builtin()
    row = catalogue.by_path("events.k8s.io", "v1", "events")
    assert row is not None
    assert row.storage == ("", "v1", "events")
    assert not row.stored_as_itself
    assert catalogue.stored(row) is catalogue.by_path("", "v1", "events")


def test_kubectl_get_all_covers_the_category():
    assert {row.plural for row in builtin().category("all")} >= {"pods", "services", "deployments", "jobs"}


def test_every_served_kind_and_subresource_kind_has_a_schema():
    facts = builtin_facts()
    options = {"NodeProxyOptions", "PodProxyOptions", "ServiceProxyOptions"} | {
        f"Pod{what}Options" for what in ("Attach", "Exec", "PortForward")
    }
    for row in builtin():
        assert facts.by_kind(row.group, row.version, row.kind), row
        for sub in row.subresources:
            assert sub.kind in options or facts.by_kind(sub.group, sub.version, sub.kind), sub


def test_versions_rank_as_kubernetes_ranks_them():
    ranked = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    assert sorted(sorted(ranked), key=version_rank) == ranked
