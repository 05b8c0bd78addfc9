"""get, describe, apply, create, delete, scale and rollout on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

from .conftest import Cli

pytestmark = pytest.mark.asyncio(loop_scope="module")


def configmap(name: str, **data: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def deployment(name: str = "web", *, image: str = "a:1", replicas: int = 1, **spec: Any) -> str:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body})


async def read(cli: Cli, *what: str) -> Any:
    return json.loads((await cli("get", *what, "-o", "json")).out)


# --- apply ---------------------------------------------------------------------------------------------------------


async def test_apply_creates_changes_and_leaves_alone(cli: Cli) -> None:
    first = await cli("apply", "-f", "-", stdin=configmap("c", a="1", b="2"))
    assert (first.code, first.out) == (0, "configmap/c created\n")
    assert (await cli("apply", "-f", "-", stdin=configmap("c", a="1", b="2"))).out == "configmap/c unchanged\n"
    assert (await cli("apply", "-f", "-", stdin=configmap("c", a="3"))).out == "configmap/c configured\n"
    assert (await read(cli, "cm/c"))["data"] == {"a": "3"}


async def test_apply_and_kubectl_take_turns(cli: Cli, server: RunningServer, namespace: str) -> None:
    kubectl = Kubectl(server)
    text = deployment(image="a:1 <&> ü")
    assert (await kubectl("-n", namespace, "apply", "-f", "-", stdin=text)).code == 0
    assert (await cli("apply", "-f", "-", stdin=text)).out == "deployment.apps/web unchanged\n"
    assert (await cli("apply", "-f", "-", stdin=deployment(image="a:2"))).out == "deployment.apps/web configured\n"
    again = await kubectl("-n", namespace, "apply", "-f", "-", stdin=deployment(image="a:2"))
    assert again.out == "deployment.apps/web unchanged"


async def test_apply_keeps_what_others_put_into_lists(cli: Cli, http: httpx.AsyncClient, namespace: str) -> None:
    await cli("apply", "-f", "-", stdin=deployment())
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "proxy", "image": "p"}]}}}}
    headers = {"content-type": "application/strategic-merge-patch+json"}
    assert (await http.patch(path, json=sidecar, headers=headers)).status_code == 200
    assert (await cli("apply", "-f", "-", stdin=deployment(image="a:2"))).code == 0
    containers = (await read(cli, "deploy/web"))["spec"]["template"]["spec"]["containers"]
    assert sorted((c["name"], c["image"]) for c in containers) == [("main", "a:2"), ("proxy", "p")]


async def test_apply_changes_a_strategy_whose_defaults_the_server_filled_in(cli: Cli) -> None:
    await cli("apply", "-f", "-", stdin=deployment())
    done = await cli("apply", "-f", "-", stdin=deployment(strategy={"type": "Recreate"}))
    assert (done.code, done.out) == (0, "deployment.apps/web configured\n"), done.err
    assert (await read(cli, "deploy/web"))["spec"]["strategy"] == {"type": "Recreate"}


async def test_apply_takes_over_what_was_created(cli: Cli) -> None:
    await cli("create", "-f", "-", stdin=configmap("c", a="1"))
    assert (await cli("apply", "-f", "-", stdin=configmap("c", a="1"))).out == "configmap/c configured\n"
    assert (await cli("apply", "-f", "-", stdin=configmap("c"))).code == 0
    assert "a" not in (await read(cli, "cm/c")).get("data", {}), "once it is known what was applied, it can be removed"


async def test_a_refused_manifest_is_told_with_its_place_and_the_others_go(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"{configmap('one')}\n---\napiVersion: v1\nkind: Nonsense\nmetadata: {{name: x}}\n---\n"
                    f"{configmap('UPPER')}\n---\n{configmap('two')}\n")  # fmt: skip
    done = await cli("apply", "-f", str(file))
    assert done.code == 1
    assert done.out == "configmap/one created\nconfigmap/two created\n"
    assert f'{file}:3: error: no matches for kind "Nonsense" in version "v1"' in done.err
    assert f'{file}:7: Error from server (Invalid): ConfigMap "UPPER" is invalid' in done.err


async def test_apply_refuses_a_generated_name_and_touches_nothing(cli: Cli) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"}})
    done = await cli("apply", "-f", "-", stdin=text)
    assert done.code == 1
    assert "has no metadata.name" in done.err
    made = await cli("create", "-f", "-", stdin=text)
    assert made.out.startswith("configmap/c-")


async def test_another_namespace_than_the_one_asked_for_is_refused(cli: Cli) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}})
    done = await cli("apply", "-n", "other", "-f", "-", stdin=text)
    assert done.code == 1
    assert 'the namespace from the provided object "default" does not match the namespace "other"' in done.err


# --- get -----------------------------------------------------------------------------------------------------------


async def test_get_several_names_in_one_table_and_tells_what_is_missing(cli: Cli) -> None:
    for name in ("one", "two"):
        await cli("create", "-f", "-", stdin=configmap(name))
    done = await cli("get", "cm", "one", "missing", "two")
    assert done.code == 1
    assert [line[0] for line in done.lines] == ["NAME", "one", "two"]
    assert done.err == 'Error from server (NotFound): configmaps "missing" not found\n'
    assert (await cli("get", "cm", "one", "missing", "--ignore-not-found")).code == 0


async def test_get_in_all_its_forms(cli: Cli, namespace: str) -> None:
    await cli("create", "-f", "-", stdin=deployment())
    assert (await cli("get", "deploy", "-o", "name")).out == "deployment.apps/web\n"
    assert (await cli("get", "deploy/web", "-o", "wide", "--no-headers")).lines[0][-2:] == ["a:1", "app=web"]
    assert (await cli("get", "deploy", "--show-labels")).lines[0][-1] == "LABELS"
    header, *rows = [line[:2] for line in (await cli("get", "deploy", "-A")).lines]
    assert header == ["NAMESPACE", "NAME"]
    assert [namespace, "web"] in rows
    assert "deployment.apps/web" in (await cli("get", "all")).out
    listing = yaml.safe_load((await cli("get", "deploy", "-o", "yaml")).out)
    assert (listing["kind"], listing["items"][0]["kind"]) == ("List", "Deployment")
    assert (await cli("get", "deploy,cm")).code == 0


async def test_text_comes_out_as_it_went_in(cli: Cli) -> None:
    page = "línea\n\n  日本語: \t'x'\n"
    await cli("create", "-f", "-", stdin=configmap("c", page=page))
    done = await cli("get", "cm/c", "-o", "yaml")
    assert yaml.safe_load(done.out)["data"]["page"] == page
    assert "日本語" in done.out
    assert "managedFields" not in done.out
    assert "日本語" in (await cli("get", "cm/c", "-o", "json")).out


async def test_nothing_found_is_said_on_standard_error(cli: Cli, namespace: str) -> None:
    done = await cli("get", "pods")
    assert (done.code, done.out, done.err) == (0, "", f"No resources found in {namespace} namespace.\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("get", "nonsense"), 'the server doesn\'t have a resource type "nonsense"'),
        (("get", "pods", "x", "-l", "a=b"), "name cannot be provided when a selector is specified"),
        (("get", "pods", "x", "-A"), "cannot be retrieved by name across all namespaces"),
        (("get", "pods", ""), "resource name may not be empty"),
        (("get", "pods", ".."), "'..' is no name"),
        (("get", "pods/x", "web"), "'web' is not type/name"),
        (("delete", "cm", ""), "resource name may not be empty"),
        (("delete", "cm", "."), "'.' is no name"),
        (("delete", "cm", ".."), "'..' is no name"),
        (("delete", "cm/a%2F..%2F.."), "is no name"),
        (("delete", "cm"), "no name, label selector, or --all flag"),
        (("delete", "cm", "x", "--all"), "not both"),
        (("delete", "cm", "x", "-l", "a=b"), "name cannot be provided when a selector is specified"),
        (("get", "pods", "-n", ".."), "'..' is no namespace"),
        (("get", "pods", "-l", "a in"), "Error from server (BadRequest)"),
        (("logs", ""), "resource name may not be empty"),
        (("scale", "deploy/x", "--replicas", "1"), 'deployments.apps "x" not found'),
        (("rollout", "status", "cm/x"), 'rollouts of "configmaps" are not supported'),
        (("describe", "cm", "missing"), 'configmaps "missing" not found'),
        (("get", "pods", "--context", "nowhere"), "no context 'nowhere'"),
    ],
)
async def test_what_is_refused_is_told_in_a_line_and_nothing_is_lost(
    cli: Cli, arguments: tuple[str, ...], told: str
) -> None:
    await cli("create", "-f", "-", stdin=configmap("kept"))
    done = await cli(*arguments)
    assert done.code == 1
    assert told in done.err
    assert "Traceback" not in done.err
    assert (await cli("get", "cm", "kept")).code == 0


# --- describe ------------------------------------------------------------------------------------------------------


async def test_describe_tells_of_objects_and_goes_on_after_a_missing_one(cli: Cli) -> None:
    await cli("create", "-f", "-", stdin=configmap("c", colour="\x1b[31mred"))
    done = await cli("describe", "cm", "missing", "c")
    assert done.code == 1
    assert "Name:                    c" in done.out
    assert "^[[31mred" in done.out
    assert "\x1b" not in done.out


# --- delete --------------------------------------------------------------------------------------------------------


async def test_delete_goes_on_after_a_missing_object(cli: Cli) -> None:
    await cli("create", "-f", "-", stdin=configmap("c"))
    done = await cli("delete", "cm", "missing", "c")
    assert (done.code, done.out) == (1, 'configmap "c" deleted\n')
    assert 'configmaps "missing" not found' in done.err
    assert (await cli("delete", "cm", "missing", "--ignore-not-found")).code == 0


async def test_delete_by_selector_by_all_and_by_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(configmap("filed"))
    labelled = json.loads(configmap("labelled"))
    labelled["metadata"]["labels"] = {"app": "x"}
    for text in (file.read_text(), json.dumps(labelled), configmap("other")):
        await cli("create", "-f", "-", stdin=text)
    assert (await cli("delete", "cm", "-l", "app=x")).out == 'configmap "labelled" deleted\n'
    assert (await cli("delete", "-f", str(file))).out == 'configmap "filed" deleted\n'
    assert 'configmap "other" deleted' in (await cli("delete", "cm", "--all")).out
    assert (await cli("get", "cm", "-o", "name")).out == ""


async def test_delete_waits_for_finalizers_no_longer_than_it_is_told(cli: Cli) -> None:
    held = json.loads(configmap("held"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await cli("create", "-f", "-", stdin=json.dumps(held))
    done = await cli("delete", "cm", "held", "--timeout", "100ms")
    assert done.code == 1
    assert "is not gone in time; its finalizers are example.com/hold" in done.err
    del held["metadata"]["finalizers"]
    assert (await cli("delete", "cm", "held", "--no-wait")).code == 0


# --- scale and rollout ---------------------------------------------------------------------------------------------


async def test_scale(cli: Cli) -> None:
    await cli("create", "-f", "-", stdin=deployment())
    assert (await cli("scale", "deploy/web", "--replicas", "3")).out == "deployment.apps/web scaled\n"
    assert (await read(cli, "deploy/web"))["spec"]["replicas"] == 3
    refused = await cli("scale", "deploy", "web", "--replicas", "5", "--current-replicas", "2")
    assert (refused.code, refused.err) == (1, "error: expected 2 replicas, found 3\n")
    assert (await cli("scale", "deploy", "web", "--replicas", "5", "--current-replicas", "3")).code == 0


async def test_rollout_pause_resume_restart_and_status(cli: Cli) -> None:
    await cli("create", "-f", "-", stdin=deployment(replicas=0))
    assert (await cli("rollout", "pause", "deploy/web")).out == "deployment.apps/web paused\n"
    assert (await read(cli, "deploy/web"))["spec"]["paused"] is True
    assert "paused" in (await cli("rollout", "undo", "deploy/web")).err
    assert (await cli("rollout", "resume", "deploy", "web")).code == 0
    assert (await cli("rollout", "restart", "deploy/web")).out == "deployment.apps/web restarted\n"
    template = (await read(cli, "deploy/web"))["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    waited = await cli("rollout", "status", "deploy/web", "--timeout", "100ms")
    assert waited.code == 1
    assert "Waiting for deployment spec update to be observed..." in waited.out
    assert "no rollout history found" in (await cli("rollout", "undo", "deploy/web")).err


# --- reaching the server -------------------------------------------------------------------------------------------


async def test_several_kubeconfigs_are_merged(
    cli: Cli, server: RunningServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = yaml.safe_load(server.kubeconfig(namespace=namespace).read_text())
    one = {"contexts": whole["contexts"], "current-context": "test"}
    two = {"clusters": whole["clusters"], "users": whole["users"], "current-context": "other"}
    for name, part in (("one", one), ("two", two)):
        (tmp_path / name).write_text(yaml.safe_dump(part))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{tmp_path / 'one'}::{tmp_path / 'two'}")
    await cli("create", "-f", "-", stdin=configmap("c"))
    assert (await cli("get", "cm/c", "-o", "name")).out == "configmap/c\n"


async def test_a_token_and_paths_relative_to_the_file(cli: Cli, server: RunningServer, tmp_path: Path) -> None:
    issued = await Kubectl(server)("create", "token", "default")
    (tmp_path / "token").write_text(f"{issued.out}\n")
    (tmp_path / "ca.crt").write_bytes(server.authority.certificate_pem)
    document = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"{server.url}/", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "x", "user": {"tokenFile": "token"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    done = await cli("get", "pods", "--kubeconfig", str(tmp_path / "config"))
    assert done.code == 1
    assert 'User "system:serviceaccount:default:default" cannot list resource "pods"' in done.err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server": "https://127.0.0.1:1"}, "does not answer"),
        ({"server": "http://127.0.0.1:1"}, "does not answer"),
        ({"server": "nonsense"}, "'nonsense' is no URL of a server"),
        ({"server": "https://127.0.0.1:99999999"}, "does not answer"),
        ({"server": None}, "'' is no URL of a server"),
        ({"certificate-authority": "/nonexistent"}, "not a usable kubeconfig"),
        ({"certificate-authority-data": "!!!"}, "not a usable kubeconfig"),
        ({"certificate-authority-data": "aGk="}, "not a usable kubeconfig"),
    ],
)
async def test_a_broken_kubeconfig_is_told_in_a_line(
    cli: Cli, server: RunningServer, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    document = yaml.safe_load(server.kubeconfig().read_text())
    document["clusters"][0]["cluster"] |= change
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    done = await cli("get", "pods", "--kubeconfig", str(tmp_path / "config"))
    assert done.code == 1
    assert told in done.err
    assert "Traceback" not in done.err
