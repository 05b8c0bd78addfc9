"""The real kubectl for what scripts and people do all day: diff, edit, patch, wait, watch, explain.

What it does first (`tests/integration/apiserver/test_kubectl.py`) and server-side apply have files of their own.
"""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl, Result

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: web, image: "web:1"}}, {{name: side, image: "side:1"}}]}}
"""
MAP = "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{set: {set}}}}}, data: {{text: {text}}}}}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
def kubectl(server: RunningServer) -> Kubectl:
    return Kubectl(server)


def good(result: Result) -> str:
    assert result.code == 0, result
    return result.out


async def test_diff_shows_what_apply_would_change_and_changes_nothing(kubectl: Kubectl) -> None:
    good(await kubectl("apply", "-f", "-", stdin=DEPLOYMENT.format(name="diffed", replicas=1)))
    same = await kubectl("diff", "-f", "-", stdin=DEPLOYMENT.format(name="diffed", replicas=1))
    assert (same.code, same.out) == (0, "")
    differs = await kubectl("diff", "-f", "-", stdin=DEPLOYMENT.format(name="diffed", replicas=4))
    assert differs.code == 1
    assert "-  replicas: 1\n+  replicas: 4" in differs.out
    assert good(await kubectl("get", "deploy", "diffed", "-o", "jsonpath={.spec.replicas}")) == "1"


async def test_a_script_edits(kubectl: Kubectl, tmp_path: Path) -> None:
    good(await kubectl("create", "configmap", "edited", "--from-literal=text=before"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/before/after/ "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    edited = await kubectl("edit", "configmap", "edited", environment={"KUBE_EDITOR": str(editor)})
    assert good(edited) == "configmap/edited edited"
    assert good(await kubectl("get", "configmap", "edited", "-o", "jsonpath={.data.text}")) == "after"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}),
        ("merge", {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:2"}]),
    ],
)
async def test_a_patch_merges_as_its_type_says(kubectl: Kubectl, kind: str, patch: object) -> None:
    name = f"patched-{kind}"
    good(await kubectl("create", "-f", "-", stdin=DEPLOYMENT.format(name=name, replicas=1)))
    good(await kubectl("patch", "deploy", name, f"--type={kind}", "-p", json.dumps(patch)))
    images = good(await kubectl("get", "deploy", name, "-o", "jsonpath={.spec.template.spec.containers[*].image}"))
    assert images == ("web:2" if kind == "merge" else "web:2 side:1")


async def test_a_subresource_is_patched_and_read(kubectl: Kubectl) -> None:
    good(await kubectl("create", "-f", "-", stdin=DEPLOYMENT.format(name="sub", replicas=1)))
    status = {"status": {"observedGeneration": 1, "readyReplicas": 1, "replicas": 1, "availableReplicas": 1}}
    good(await kubectl("patch", "deploy", "sub", "--subresource=status", "--type=merge", "-p", json.dumps(status)))
    assert good(await kubectl("get", "deploy", "sub", "-o", "jsonpath={.status.readyReplicas}")) == "1"
    good(await kubectl("scale", "deploy", "sub", "--replicas=5", "--current-replicas=1"))
    assert good(await kubectl("get", "deploy", "sub", "--subresource=scale", "-o", "jsonpath={.spec.replicas}")) == "5"
    refused = await kubectl("scale", "deploy", "sub", "--replicas=2", "--current-replicas=1")
    assert refused.code == 1 and "Expected replicas to be 1, was 5" in refused.err


async def test_wait_ends_when_the_condition_holds_and_when_the_object_goes(kubectl: Kubectl) -> None:
    good(await kubectl("create", "-f", "-", stdin=DEPLOYMENT.format(name="awaited", replicas=1)))
    waiting = asyncio.create_task(kubectl("wait", "deploy/awaited", "--for=condition=Available", "--timeout=20s"))
    condition = {"type": "Available", "status": "True", "reason": "x", "message": "", "lastUpdateTime": None}
    patch = json.dumps({"status": {"conditions": [{**condition, "lastTransitionTime": "2024-01-01T00:00:00Z"}]}})
    good(await kubectl("patch", "deploy", "awaited", "--subresource=status", "--type=merge", "-p", patch))
    assert good(await waiting) == "deployment.apps/awaited condition met"
    going = asyncio.create_task(kubectl("wait", "deploy/awaited", "--for=delete", "--timeout=20s"))
    good(await kubectl("delete", "deploy", "awaited"))
    assert good(await going) in ("deployment.apps/awaited condition met", "")


async def test_a_watch_prints_each_change(kubectl: Kubectl) -> None:
    command = ("get", "configmaps", "--watch", "-l", "set=watched", "--output-watch-events", "-o", "json")
    decoder, text, seen = json.JSONDecoder(), "", []
    async with kubectl.running(*command) as process, asyncio.timeout(20):
        good(await kubectl("create", "-f", "-", stdin=MAP.format(name="w1", set="watched", text="a")))
        good(await kubectl("label", "configmap", "w1", "set=other", "--overwrite"))
        assert process.stdout is not None
        while len(seen) < 2:
            text += (await process.stdout.read(65536)).decode()
            while text.strip():
                try:
                    event, end = decoder.raw_decode(text.lstrip())
                except json.JSONDecodeError:
                    break
                seen.append((event["type"], event["object"]["metadata"]["name"]))
                text = text.lstrip()[end:]
    assert seen == [("ADDED", "w1"), ("DELETED", "w1")]


async def test_apply_prunes_what_the_files_do_not_name_any_more(kubectl: Kubectl) -> None:
    both = (
        MAP.format(name="kept", set="pruned", text="a") + "\n---\n" + MAP.format(name="dropped", set="pruned", text="a")
    )
    prune = ("--prune", "-l", "set=pruned", "--prune-allowlist=core/v1/ConfigMap")
    good(await kubectl("apply", "-f", "-", *prune, stdin=both))
    out = good(await kubectl("apply", "-f", "-", *prune, stdin=MAP.format(name="kept", set="pruned", text="b")))
    assert "configmap/kept configured" in out and "configmap/dropped pruned" in out


async def test_a_dry_run_on_the_server_tells_and_does_nothing(kubectl: Kubectl) -> None:
    out = good(await kubectl("create", "deployment", "ghost", "--image=web:1", "--dry-run=server", "-o", "json"))
    assert json.loads(out)["spec"]["strategy"]["type"] == "RollingUpdate"
    assert (await kubectl("get", "deploy", "ghost")).code == 1
    good(await kubectl("run", "real", "--image=web:1"))
    image = {"spec": {"containers": [{"name": "real", "image": "web:9"}]}}
    good(await kubectl("patch", "pod", "real", "--dry-run=server", "-p", json.dumps(image)))
    assert good(await kubectl("get", "pod", "real", "-o", "jsonpath={.spec.containers[0].image}")) == "web:1"
    good(await kubectl("delete", "pod", "real", "--dry-run=server"))
    good(await kubectl("get", "pod", "real"))


async def test_unknown_and_repeated_fields_are_refused_or_warned_about(kubectl: Kubectl) -> None:
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: strict}, data: {}, extra: 1}"
    refused = await kubectl("create", "-f", "-", "--validate=strict", stdin=manifest)
    assert refused.code == 1 and 'unknown field "extra"' in refused.err
    warned = await kubectl("create", "-f", "-", "--validate=warn", stdin=manifest)
    assert warned.code == 0 and 'Warning: unknown field "extra"' in warned.err
    repeated = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}'
    refused = await kubectl(
        "create", "--raw", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", "-f", "-", stdin=repeated
    )
    assert refused.code == 1 and 'duplicate field "data.a"' in refused.err


async def test_explain_knows_fields_their_types_and_enumerates_them(kubectl: Kubectl) -> None:
    out = good(await kubectl("explain", "deployment.spec.strategy.rollingUpdate"))
    assert "GROUP:      apps" in out and "maxSurge\t<IntOrString>" in out
    tree = good(await kubectl("explain", "cronjob", "--recursive"))
    assert "concurrencyPolicy\t<string>" in tree
    old = good(await kubectl("explain", "hpa.spec", "--api-version=autoscaling/v1"))
    assert "targetCPUUtilizationPercentage\t<integer>" in old
    assert (await kubectl("explain", "deployment.spec.nonsense")).code == 1


async def test_raw_paths_and_what_is_served(kubectl: Kubectl) -> None:
    assert good(await kubectl("get", "--raw", "/readyz")) == "ok"
    assert json.loads(good(await kubectl("get", "--raw", "/apis/apps/v1")))["groupVersion"] == "apps/v1"
    assert {"apps/v1", "v1"} <= set(good(await kubectl("api-versions")).splitlines())
    listed = good(await kubectl("api-resources", "--namespaced=false", "--verbs=list", "-o", "wide"))
    assert any(line.split()[:2] == ["nodes", "no"] for line in listed.splitlines())
    assert "deploy" in good(await kubectl("api-resources", "--api-group=apps"))
    assert "Kubernetes control plane is running at" in re.sub(
        "\x1b\\[[0-9;]*m", "", good(await kubectl("cluster-info"))
    )


async def test_version_names_client_and_server(kubectl: Kubectl) -> None:
    lines = good(await kubectl("version")).splitlines()
    versions = dict(line.split(": ", 1) for line in lines)
    assert {"Client Version", "Server Version"} <= set(versions)
    assert versions["Server Version"].startswith("v1.37.")


async def test_run_makes_a_pod_that_is_never_restarted(kubectl: Kubectl) -> None:
    good(await kubectl("run", "once", "--restart=Never", "--pod-running-timeout=2m0s", "--image=httpd:2"))
    made = json.loads(good(await kubectl("get", "pod", "once", "-o", "json")))
    assert [container["image"] for container in made["spec"]["containers"]] == ["httpd:2"]
    assert made["spec"]["restartPolicy"] == "Never"
    good(await kubectl("delete", "pod", "once"))


async def test_what_replaces_and_what_is_sorted(kubectl: Kubectl) -> None:
    good(await kubectl("create", "-f", "-", stdin=MAP.format(name="r1", set="sorted", text="b")))
    good(await kubectl("create", "-f", "-", stdin=MAP.format(name="r2", set="sorted", text="a")))
    good(await kubectl("replace", "-f", "-", stdin=MAP.format(name="r1", set="sorted", text="c")))
    names = ("get", "cm", "-l", "set=sorted", "-o", "name")
    assert good(await kubectl(*names, "--sort-by={.data.text}")).split() == ["configmap/r2", "configmap/r1"]
    assert good(await kubectl(*names, "--chunk-size=1")).split() == ["configmap/r1", "configmap/r2"]
    good(await kubectl("replace", "--force", "-f", "-", stdin=MAP.format(name="r1", set="sorted", text="d")))
    assert good(await kubectl("get", "cm", "r1", "-o", "jsonpath={.data.text}")) == "d"


async def test_the_proxy_listens_on_a_socket(kubectl: Kubectl, tmp_path: Path) -> None:
    socket = tmp_path / "proxy.sock"
    async with kubectl.running("proxy", f"--unix-socket={socket}") as process, asyncio.timeout(20):
        assert process.stdout is not None
        assert b"Starting to serve on" in await process.stdout.readline()
        reader, writer = await asyncio.open_unix_connection(str(socket))
        writer.write(b"GET /api/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b'"kind":"APIVersions"' in await reader.read()
        writer.close()


async def test_the_proxy_chooses_a_port(kubectl: Kubectl) -> None:
    async with kubectl.running("proxy", "--port=0") as process, asyncio.timeout(20):
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().split()[-1]
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
            assert (await http.get("/api/")).json()["versions"] == ["v1"]
