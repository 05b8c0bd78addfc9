"""The audit log of a real server: who, what, when, and what came of it, at every level and stage."""

from __future__ import annotations

import contextlib
import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.apiserver.flowcontrol.control import FlowControl
from k8slite.config import AuditConfig, AuditLogConfig, ConfigError
from k8slite.connection import ClientConfig
from k8slite.testing import running_server
from k8slite.testing.kubectl import Kubectl

from .audit_log import Audited, audited, policy_file

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAPS = "/api/v1/namespaces/default/configmaps"
RECEIVED, STARTED, COMPLETE = "RequestReceived", "ResponseStarted", "ResponseComplete"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Audited]:
    rules = [
        {"level": "None", "resources": [{"resources": ["leases"], "group": "coordination.k8s.io"}]},
        {"level": "Metadata", "namespaces": ["metadata"]},
        {"level": "Request", "namespaces": ["request"]},
        {"level": "RequestResponse", "namespaces": ["lean"], "omitManagedFields": True},
        {"level": "RequestResponse"},
    ]
    async with audited(tmp_path_factory.mktemp("audit"), rules) as found:
        async with found.server.http() as http:
            for name in ("metadata", "request", "lean"):
                (await http.post("/api/v1/namespaces", json={"metadata": {"name": name}})).raise_for_status()
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(log: Audited) -> AsyncIterator[httpx.AsyncClient]:
    async with log.server.http() as client:
        yield client


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": data}


async def test_an_event_says_who_did_what_and_what_came_of_it(log: Audited, http: httpx.AsyncClient) -> None:
    headers = {"user-agent": "tester/1", "x-forwarded-for": "10.0.0.7, 10.0.0.8", "x-real-ip": "10.0.0.9"}
    made = await http.post(f"{MAPS}?fieldManager=me", json=config_map("whole", a="1"), headers=headers)
    first, second = await log.of(made.headers["audit-id"], RECEIVED, COMPLETE)
    assert list(second) == [
        "kind",
        "apiVersion",
        "level",
        "auditID",
        "stage",
        "requestURI",
        "verb",
        "user",
        "sourceIPs",
        "userAgent",
        "objectRef",
        "responseStatus",
        "requestObject",
        "responseObject",
        "requestReceivedTimestamp",
        "stageTimestamp",
        "annotations",
    ]
    assert (first["stage"], second["stage"]) == (RECEIVED, COMPLETE)
    assert (first["kind"], first["apiVersion"], first["level"]) == ("Event", "audit.k8s.io/v1", "RequestResponse")
    assert second["requestURI"] == f"{MAPS}?fieldManager=me"
    assert second["verb"] == "create"
    assert second["user"]["username"] == "kubernetes-admin"
    assert second["user"]["groups"] == ["system:masters", "system:authenticated"]
    assert second["sourceIPs"] == ["10.0.0.7", "10.0.0.8", "10.0.0.9", "127.0.0.1"]
    assert second["userAgent"] == "tester/1"
    reference = {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert first["objectRef"] == reference
    assert second["objectRef"] == reference | {"name": "whole", "uid": made.json()["metadata"]["uid"]}
    assert second["responseStatus"] == {"metadata": {}, "code": 201}
    assert second["requestObject"] == config_map("whole", a="1")
    assert second["responseObject"] == made.json()
    assert second["annotations"] == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}
    assert first["stageTimestamp"] == first["requestReceivedTimestamp"] == second["requestReceivedTimestamp"]
    assert MOMENT.fullmatch(first["stageTimestamp"])
    assert MOMENT.fullmatch(second["stageTimestamp"])
    assert second["stageTimestamp"] > first["stageTimestamp"]
    assert "responseStatus" not in first


async def test_a_client_may_name_its_request(log: Audited, http: httpx.AsyncClient) -> None:
    answer = await http.get(MAPS, headers={"audit-id": "of-my-own"})
    assert answer.headers["audit-id"] == "of-my-own"
    assert (await log.answered(answer))["verb"] == "list"


@pytest.mark.parametrize(
    ("namespace", "level", "objects"),
    [
        ("metadata", "Metadata", set()),
        ("request", "Request", {"requestObject"}),
        ("default", "RequestResponse", {"requestObject", "responseObject"}),
    ],
)
async def test_each_level_holds_what_it_should(
    log: Audited, http: httpx.AsyncClient, namespace: str, level: str, objects: set[str]
) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    event = await log.answered(await http.post(url, json=config_map("levels")))
    assert event["level"] == level
    assert {"requestObject", "responseObject"} & set(event) == objects
    assert event["objectRef"]["name"] == "levels"


async def test_nothing_is_recorded_at_level_none(log: Audited, http: httpx.AsyncClient) -> None:
    answer = await http.get("/apis/coordination.k8s.io/v1/leases")
    assert answer.status_code == 200
    await log.answered(await http.get(MAPS))
    assert [e for e in log.events() if e["auditID"] == answer.headers["audit-id"]] == []


async def test_every_verb_is_named(log: Audited, http: httpx.AsyncClient) -> None:
    merge = {"content-type": "application/merge-patch+json"}
    (await http.post(MAPS, json=config_map("verbs"))).raise_for_status()
    asked = [
        ("GET", f"{MAPS}/verbs", "get", None, {}),
        ("PUT", f"{MAPS}/verbs", "update", config_map("verbs", a="b"), {}),
        ("PATCH", f"{MAPS}/verbs", "patch", {"data": {"a": "c"}}, merge),
        ("DELETE", f"{MAPS}/verbs", "delete", {"propagationPolicy": "Background"}, {}),
        ("DELETE", f"{MAPS}?labelSelector=no=thing", "deletecollection", None, {}),
    ]
    for method, url, verb, body, headers in asked:
        answer = await http.request(method, url, json=body, headers=headers)
        event = await log.answered(answer)
        assert (answer.status_code, event["verb"]) == (200, verb)
        assert event.get("requestObject") == body
        assert event["objectRef"].get("name") == ("verbs" if "labelSelector" not in url else None)


async def test_bodies_of_other_forms_are_recorded_as_json(log: Audited, http: httpx.AsyncClient) -> None:
    yaml = {"content-type": "application/yaml"}
    text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: yaml}\ndata: {a: '1'}\n"
    event = await log.answered(await http.post(MAPS, content=text, headers=yaml))
    assert event["requestObject"] == config_map("yaml", a="1")
    apply = {"content-type": "application/apply-patch+yaml"}
    answer = await http.patch(f"{MAPS}/applied?fieldManager=me", content=text.replace("yaml", "applied"), headers=apply)
    assert answer.status_code == 201, answer.text
    assert (await log.answered(answer))["requestObject"] == config_map("applied", a="1")
    spread = json.dumps(config_map("spread"), indent=2)
    answer = await http.post(MAPS, content=spread, headers={"content-type": "application/json"})
    assert (await log.answered(answer))["requestObject"] == config_map("spread")
    answer = await http.post(MAPS, content="{", headers={"content-type": "application/json"})
    event = await log.answered(answer)
    assert (event["responseStatus"]["code"], "requestObject" in event) == (400, False)


async def test_managed_fields_are_left_out_if_the_policy_says_so(log: Audited, http: httpx.AsyncClient) -> None:
    url = "/api/v1/namespaces/lean/configmaps"
    apply = {"content-type": "application/apply-patch+yaml"}
    made = await http.patch(f"{url}/lean?fieldManager=me", json=config_map("lean"), headers=apply)
    assert "managedFields" in made.json()["metadata"]
    assert "managedFields" not in (await log.answered(made))["responseObject"]["metadata"]
    again = await log.answered(await http.put(f"{url}/lean", json=made.json()))
    assert "managedFields" not in again["requestObject"]["metadata"]
    listed = await log.answered(await http.get(url))
    assert [list(item["metadata"]).count("managedFields") for item in listed["responseObject"]["items"]] == [0]


async def test_a_refusal_is_recorded_with_its_reason(log: Audited) -> None:
    config = log.server.client_config("bob", ["developers"])
    async with log.server.http(config) as http:
        answer = await http.delete(f"{MAPS}/whatever")
    event = await log.answered(answer)
    assert event["user"]["username"] == "bob"
    assert event["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": answer.json()["message"],
        "reason": "Forbidden",
        "details": {"name": "whatever", "kind": "configmaps"},
        "code": 403,
    }
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert event["responseObject"] == answer.json()


async def test_who_cannot_be_authenticated_is_recorded_without_a_name(log: Audited) -> None:
    stranger = ClientConfig(server=log.server.url, ca_file=log.server.authority.cert_file, token="made-up-by-mallory")
    async with log.server.http(stranger) as http:
        answer = await http.get(f"{MAPS}?limit=1")
    assert answer.status_code == 401
    received, started = await log.of(answer.headers["audit-id"], RECEIVED, STARTED)
    assert (received["user"], started["user"]) == ({}, {})
    assert started["responseStatus"]["code"] == 401
    assert started["objectRef"]["resource"] == "configmaps"
    assert "made-up-by-mallory" not in log.file.read_text()


async def test_a_query_that_cannot_be_read_is_recorded(log: Audited, http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{MAPS}?labelSelector=a%20b%20c")
    event = await log.answered(answer)
    assert (answer.status_code, event["responseStatus"]["code"]) == (400, 400)
    assert event["user"]["username"] == "kubernetes-admin"


async def test_the_user_that_somebody_acts_as_is_named_beside_them(log: Audited, http: httpx.AsyncClient) -> None:
    headers = {"impersonate-user": "carol", "impersonate-group": "readers", "impersonate-extra-team": "red"}
    event = await log.answered(await http.get(MAPS, headers=headers))
    assert event["user"]["username"] == "kubernetes-admin"
    groups = ["readers", "system:authenticated"]
    assert event["impersonatedUser"] == {"username": "carol", "groups": groups, "extra": {"team": ["red"]}}
    assert event["responseStatus"]["code"] == 403


async def test_a_watch_is_recorded_at_its_beginning_and_its_end(log: Audited, http: httpx.AsyncClient) -> None:
    async with http.stream("GET", f"{MAPS}?watch=true") as watch:
        found = await log.of(watch.headers["audit-id"], RECEIVED, STARTED)
        assert [event["stage"] for event in found] == [RECEIVED, STARTED]
        assert (found[1]["verb"], found[1]["responseStatus"]["code"]) == ("watch", 200)
    *_, last = await log.of(watch.headers["audit-id"], COMPLETE)
    assert (last["stage"], last["responseStatus"]["code"]) == (COMPLETE, 200)
    assert last["stageTimestamp"] > found[1]["stageTimestamp"]


async def test_a_watch_that_the_server_ends_is_complete(log: Audited, http: httpx.AsyncClient) -> None:
    async with http.stream("GET", f"{MAPS}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name=none") as watch:
        assert [line async for line in watch.aiter_lines()] == []
    found = await log.of(watch.headers["audit-id"], STARTED, COMPLETE)
    assert [event["stage"] for event in found] == [RECEIVED, STARTED, COMPLETE]
    assert found[0]["objectRef"]["name"] == "none"


async def test_what_is_no_resource_is_recorded_by_its_path(log: Audited, http: httpx.AsyncClient) -> None:
    for path, code in (("/version", 200), ("/apis", 200), ("/healthz", 200), ("/no/such/path", 404)):
        event = await log.answered(await http.get(path))
        assert (event["requestURI"], event["verb"], event["responseStatus"]["code"]) == (path, "get", code)
        assert not {"objectRef", "requestObject", "responseObject"} & set(event)


async def test_an_error_that_nobody_expected_is_a_panic(
    log: Audited, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(call: Any) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setitem(log.server.app.dispatch.subresources, ("", "configmaps", ""), broken)
    answer = await http.post(MAPS, json=config_map("panic"))
    assert answer.status_code == 500
    *_, event = await log.of(answer.headers["audit-id"], "Panic")
    assert event["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": "APIServer panic'd: RuntimeError",
        "reason": "InternalError",
        "code": 500,
    }
    assert "the inside" not in log.file.read_text()


async def test_kubectl_and_its_requests(log: Audited) -> None:
    kubectl = Kubectl(log.server)
    before = len(log.events())
    assert (await kubectl("create", "configmap", "shown", "--from-literal=a=b")).code == 0
    assert (await kubectl("get", "configmaps")).code == 0
    assert (await kubectl("annotate", "configmap", "shown", "a=b")).code == 0
    assert (await kubectl("delete", "configmap", "shown", "--wait=false")).code == 0
    await log.until(lambda: "delete" in [e["verb"] for e in log.events()[before:] if e["stage"] == COMPLETE])
    events = [e for e in log.events()[before:] if e["stage"] == COMPLETE and "objectRef" in e]
    assert [e["verb"] for e in events] == ["create", "list", "get", "patch", "delete"]
    assert all(e["userAgent"].startswith("kubectl/") for e in events)
    assert [e["objectRef"].get("name") for e in events] == ["shown", None, "shown", "shown", "shown"]


async def test_what_is_counted(log: Audited, http: httpx.AsyncClient) -> None:
    def value(text: str, name: str) -> float:
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]

    before = (await http.get("/metrics")).text
    await http.get(MAPS)
    await http.get("/apis/coordination.k8s.io/v1/leases")
    after = (await http.get("/metrics")).text
    for name, more in (
        ("apiserver_audit_event_total", 4),  # the end of the first reading, the list, the beginning of the second
        ('apiserver_audit_level_total{level="RequestResponse"}', 2),
        ('apiserver_audit_level_total{level="None"}', 1),
        ('apiserver_audit_error_total{plugin="log"}', 0),
        ("apiserver_audit_requests_rejected_total", 0),
    ):
        assert value(after, name) - value(before, name) == more, name


async def test_the_file_is_its_owners_alone(log: Audited) -> None:
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600


# --- servers with other settings


async def test_stages_that_the_policy_omits(tmp_path: Path) -> None:
    policy = {"omitStages": ["RequestReceived", "ResponseStarted"]}
    async with audited(tmp_path, policy=policy) as log, log.server.http() as http:
        async with http.stream("GET", f"{MAPS}?watch=true") as watch:
            assert watch.status_code == 200
        assert [e["stage"] for e in await log.of(watch.headers["audit-id"])] == [COMPLETE]


async def test_all_events_are_written_before_the_server_ends(tmp_path: Path) -> None:
    async with audited(tmp_path) as log, log.server.http() as http:
        answers = [await http.get(MAPS) for _ in range(20)]
    assert {a.headers["audit-id"] for a in answers} <= {e["auditID"] for e in log.events() if e["stage"] == COMPLETE}


async def test_no_answer_before_its_event_in_blocking_mode(tmp_path: Path) -> None:
    async with audited(tmp_path, log={"mode": "blocking"}) as log, log.server.http() as http:
        for _ in range(20):
            answer = await http.get(MAPS)
            stages = [e["stage"] for e in log.events() if e["auditID"] == answer.headers["audit-id"]]
            assert stages == [RECEIVED, COMPLETE]


async def test_a_strict_server_refuses_what_it_cannot_record(tmp_path: Path) -> None:
    audit = AuditConfig(
        policy_file=policy_file(tmp_path, [{"level": "Metadata", "verbs": ["list"]}]),
        log=AuditLogConfig(path="/dev/full", mode="blocking-strict"),
    )
    async with running_server(directory=tmp_path, audit=audit) as server, server.http() as http:
        refused = await http.get(MAPS)
        assert (refused.status_code, refused.json()["reason"]) == (500, "InternalError")
        assert "failed to store audit event" in refused.json()["message"]
        assert (await http.get(f"{MAPS}/x")).status_code == 404
        text = (await http.get("/metrics")).text
        assert "apiserver_audit_requests_rejected_total 1.0" in text


async def test_a_lenient_server_goes_on_without_its_log(tmp_path: Path) -> None:
    audit = AuditConfig(
        policy_file=policy_file(tmp_path, [{"level": "Metadata", "verbs": ["list"]}]),
        log=AuditLogConfig(path="/dev/full", mode="blocking"),
    )
    async with running_server(directory=tmp_path, audit=audit) as server, server.http() as http:
        assert (await http.get(MAPS)).status_code == 200
        text = (await http.get("/metrics")).text
        assert 'apiserver_audit_error_total{plugin="log"} 2.0' in text


async def test_the_log_is_put_aside_when_it_is_full(tmp_path: Path) -> None:
    settings = {"mode": "blocking", "max_size": 1, "max_backups": 2}
    big = "x" * 900_000
    async with audited(tmp_path, [{"level": "Request", "verbs": ["create"]}], log=settings) as log:
        async with log.server.http() as http:
            for index in range(5):
                (await http.post(MAPS, json=config_map(f"big-{index}", a=big))).raise_for_status()
        aside = sorted(log.file.parent.glob("audit-*.log"))
        assert len(aside) == 2
        for path in (*aside, log.file):
            assert path.stat().st_size <= 1 << 20
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert all(json.loads(line)["kind"] == "Event" for line in path.read_text().splitlines())


async def test_a_large_event_loses_its_objects(tmp_path: Path) -> None:
    async with audited(tmp_path, log={"max_event_size": 10_000}) as log, log.server.http() as http:
        event = await log.answered(await http.post(MAPS, json=config_map("big", a="x" * 20_000)))
        assert not {"requestObject", "responseObject"} & set(event)
        assert event["annotations"]["audit.k8s.io/truncated"] == "true"
        small = await log.answered(await http.post(MAPS, json=config_map("small")))
        assert "audit.k8s.io/truncated" not in small["annotations"]


async def test_a_refusal_that_cites_a_secret_is_not_recorded_word_for_word(
    log: Audited, http: httpx.AsyncClient
) -> None:
    secrets = "/api/v1/namespaces/default/secrets"
    given = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cited"}, "stringData": {"a": "hunter2"}}
    (await http.post(secrets, json=given)).raise_for_status()
    wrong = [{"op": "add", "path": "/data/b", "value": ["hunter2"]}]
    kind = {"content-type": "application/json-patch+json"}
    answer = await http.patch(f"{secrets}/cited", content=json.dumps(wrong), headers=kind)
    assert (answer.status_code, "hunter2" in answer.text) == (422, True)  # as Kubernetes tells its client
    event = await log.answered(answer)
    assert "hunter2" not in json.dumps(event)
    assert "aHVudGVyMg" not in json.dumps(event)
    assert event["responseStatus"]["code"] == event["responseObject"]["code"] == 422
    assert event["responseObject"]["details"]["causes"][0]["field"] == "patch"
    refused = await http.get(f"{secrets}/none")
    assert (await log.answered(refused))["responseStatus"]["message"] == 'secrets "none" not found'


async def test_a_broken_policy_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nonResourceURLs"):
        async with audited(tmp_path, [{"level": "None", "nonResourceURLs": ["x"]}]):
            pass


async def test_a_log_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("not a directory")
    with pytest.raises(ConfigError, match=r"audit log .*/audit/audit\.log: "):
        async with audited(tmp_path):
            pass


async def test_an_end_that_fails_elsewhere_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError("that went wrong")

    monkeypatch.setattr("k8slite.apiserver.audit.log.DELAY", 3600)  # so that only the end hands over what waits
    with contextlib.suppress(RuntimeError, SystemExit):
        async with audited(tmp_path) as log, log.server.http() as http:
            monkeypatch.setattr(FlowControl, "stop", fail)
            answer = await http.get(MAPS)
    events = [event for event in log.events() if event["auditID"] == answer.headers["audit-id"]]
    assert events[-1]["stage"] == "ResponseComplete"


async def test_without_a_policy_nothing_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    audit = AuditConfig(log=AuditLogConfig(path=str(file)))
    async with running_server(directory=tmp_path, audit=audit) as server, server.http() as http:
        assert (await http.get(MAPS)).status_code == 200
    assert not file.exists()
