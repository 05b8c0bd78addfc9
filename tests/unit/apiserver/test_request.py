from __future__ import annotations

import pytest

from k8slite.apiserver.verbs import paging
from k8slite.apiserver.wire import options
from k8slite.apiserver.wire.request import parse
from k8slite.errors import ApiError


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/pods", ("list", "", "v1", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/x/pods?watch=1", ("watch", "", "v1", "x", "pods", "", "")),
        ("POST", "/api/v1/namespaces/x/pods", ("create", "", "v1", "x", "pods", "", "")),
        ("GET", "/api/v1/namespaces", ("list", "", "v1", "", "namespaces", "", "")),
        ("GET", "/api/v1/namespaces/x", ("get", "", "v1", "x", "namespaces", "x", "")),
        ("PUT", "/api/v1/namespaces/x/finalize", ("update", "", "v1", "x", "namespaces", "x", "finalize")),
        ("PATCH", "/api/v1/namespaces/x/status", ("patch", "", "v1", "x", "namespaces", "x", "status")),
        (
            "DELETE",
            "/apis/batch/v1/namespaces/x/jobs",
            ("deletecollection", "batch", "v1", "x", "jobs", "", ""),
        ),
        ("DELETE", "/apis/batch/v1/namespaces/x/jobs/d", ("delete", "batch", "v1", "x", "jobs", "d", "")),
        (
            "GET",
            "/apis/batch/v1/namespaces/x/jobs/d/scale",
            ("get", "batch", "v1", "x", "jobs", "d", "scale"),
        ),
        ("GET", "/api/v1/watch/namespaces/x/pods", ("watch", "", "v1", "x", "pods", "", "")),
        ("GET", "/api/v1/nodes/n/", ("get", "", "v1", "", "nodes", "n", "")),
    ],
)
def test_resource_paths(method: str, target: str, expected: tuple[str, ...]) -> None:
    path, _, query = target.partition("?")
    info = parse(method, path, options.parse(query.encode(), method))
    found = (info.verb, info.group, info.version, info.namespace, info.plural, info.name, info.subresource)
    assert found == expected


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis", "/apis/a", "/apis/a/v1", "/healthz", "/metrics/x"])
def test_other_paths_are_no_resources(path: str) -> None:
    info = parse("GET", path, options.DEFAULT)
    assert not info.is_resource and info.verb == "get"


def test_what_follows_a_subresource_is_kept() -> None:
    info = parse("GET", "/api/v1/namespaces/x/services/s/proxy/a/b", options.DEFAULT)
    assert (info.subresource, info.rest) == ("proxy", "a/b")


def test_options_are_read() -> None:
    query = b"labelSelector=a%3Db&limit=5&dryRun=All&gracePeriodSeconds=0&propagationPolicy=Orphan&watch"
    read = options.parse(query, "DELETE")
    assert read.label_selector.matches({"a": "b"}) and not read.label_selector.matches({})
    assert (read.limit, read.dry_run, read.grace_period, read.propagation, read.watch) == (5, True, 0, "Orphan", True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"limit=x", 400),
        (b"labelSelector=a%20b%20c", 400),
        (b"propagationPolicy=Whatever", 422),
        (b"propagationPolicy=Orphan&orphanDependents=true", 422),
    ],
)
def test_bad_options_are_refused(query: bytes, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        options.parse(query, "DELETE")
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("method", "kind"), [("POST", "CreateOptions"), ("PUT", "UpdateOptions"), ("PATCH", "PatchOptions")]
)
def test_options_of_writes_are_refused_by_their_own_name(method: str, kind: str) -> None:
    with pytest.raises(ApiError) as refused:
        options.parse(b"dryRun=Some&fieldValidation=Maybe", method)
    assert refused.value.message == (
        f'{kind}.meta.k8s.io "" is invalid: [dryRun: Unsupported value: ["Some"]: supported values: "All", '
        'fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", "Strict", "Warn"]'
    )
    assert not options.parse(b"fieldValidation=Maybe&propagationPolicy=x", "GET").dry_run, "reads do not look at them"


def test_continue_tokens_survive_the_round_trip() -> None:
    position = paging.Position(42, "default/web-é")
    assert paging.decode(paging.encode(position)) == position
    with pytest.raises(ApiError):
        paging.decode("bm9uc2Vuc2U")


def test_expired_token_offers_one_that_goes_on() -> None:
    status = paging.expired(paging.Position(42, "default/web")).status()
    assert status["code"] == 410
    assert paging.decode(status["metadata"]["continue"]) == paging.Position(0, "default/web")
