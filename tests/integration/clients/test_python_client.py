"""The official Python client, unmodified: objects, pages, watches, patches, errors, exec and logs.

It blocks, so it runs in threads beside the server's loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes import client, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

from .conftest import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

NS = "default"


def config_map(name: str, **data: str) -> Any:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"set": name.split("-")[0]}), data=data)


def deployment(name: str) -> Any:
    labels = {"app": name}
    container = client.V1Container(name="web", image="web:1", ports=[client.V1ContainerPort(container_port=80)])
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels=labels), template=template, replicas=2)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=spec)


async def refused(function: Any, *arguments: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(ApiException) as caught:
        await asyncio.to_thread(function, *arguments, **options)
    return caught.value.status, json.loads(caught.value.body)


async def test_an_object_from_its_creation_to_its_end(core: Any) -> None:
    made = await asyncio.to_thread(core.create_namespaced_config_map, NS, config_map("crud", a="1"))
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo is not None
    made.data = {"a": "2"}
    changed = await asyncio.to_thread(core.replace_namespaced_config_map, "crud", NS, made)
    assert changed.metadata.resource_version != made.metadata.resource_version
    assert (await asyncio.to_thread(core.read_namespaced_config_map, "crud", NS)).data == {"a": "2"}
    listed = await asyncio.to_thread(core.list_namespaced_config_map, NS, label_selector="set=crud")
    assert [item.metadata.name for item in listed.items] == ["crud"]
    gone = await asyncio.to_thread(core.delete_namespaced_config_map, "crud", NS)
    assert gone["status"] == "Success"
    assert (await refused(core.read_namespaced_config_map, "crud", NS))[0] == 404


async def test_typed_workloads_keep_what_the_server_adds(apps: Any) -> None:
    made = await asyncio.to_thread(apps.create_namespaced_deployment, NS, deployment("typed"))
    assert made.spec.strategy.type == "RollingUpdate" and made.spec.strategy.rolling_update.max_surge == "25%"
    scale = await asyncio.to_thread(apps.read_namespaced_deployment_scale, "typed", NS)
    assert (scale.spec.replicas, scale.status.selector) == (2, "app=typed")
    scale.spec.replicas = 5
    assert (await asyncio.to_thread(apps.replace_namespaced_deployment_scale, "typed", NS, scale)).spec.replicas == 5


async def test_the_client_chooses_the_patch_by_the_body(core: Any, apps: Any, api: Any) -> None:
    await asyncio.to_thread(apps.create_namespaced_deployment, NS, deployment("patched"))
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}}
    found = await asyncio.to_thread(apps.patch_namespaced_deployment, "patched", NS, strategic)
    assert {container.name for container in found.spec.template.spec.containers} == {"web", "side"}
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 7}]
    assert (await asyncio.to_thread(apps.patch_namespaced_deployment, "patched", NS, operations)).spec.replicas == 7
    resources = await asyncio.to_thread(dynamic.DynamicClient, api)
    maps = await asyncio.to_thread(resources.resources.get, api_version="v1", kind="ConfigMap")
    await asyncio.to_thread(core.create_namespaced_config_map, NS, config_map("merged", a="1", b="2"))
    merged = await asyncio.to_thread(
        maps.patch, name="merged", namespace=NS, body={"data": {"a": None}}, content_type="application/merge-patch+json"
    )
    assert merged.data.to_dict() == {"b": "2"}


async def test_pages_make_up_the_whole(core: Any) -> None:
    for number in range(5):
        await asyncio.to_thread(core.create_namespaced_config_map, NS, config_map(f"page-{number}"))
    names, token, pages = [], None, 0
    while pages == 0 or token:
        page = await asyncio.to_thread(
            core.list_namespaced_config_map, NS, label_selector="set=page", limit=2, _continue=token
        )
        names += [item.metadata.name for item in page.items]
        token, pages = page.metadata._continue, pages + 1
    assert (names, pages) == ([f"page-{number}" for number in range(5)], 3)


async def test_a_watch_goes_on_where_another_ended(core: Any) -> None:
    start = (await asyncio.to_thread(core.list_namespaced_config_map, NS)).metadata.resource_version

    def see(count: int, since: str) -> tuple[list[tuple[str, str]], str]:
        watcher, seen = watch.Watch(), []
        events: Iterator[Any] = watcher.stream(
            core.list_namespaced_config_map, NS, resource_version=since, label_selector="set=seen", timeout_seconds=10
        )
        for event in events:
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == count:
                watcher.stop()
        return seen, watcher.resource_version

    watching = asyncio.create_task(asyncio.to_thread(see, 2, start))
    await asyncio.to_thread(core.create_namespaced_config_map, NS, config_map("seen-1"))
    await asyncio.to_thread(core.create_namespaced_config_map, NS, config_map("unseen"))
    await asyncio.to_thread(core.patch_namespaced_config_map, "seen-1", NS, {"data": {"a": "b"}})
    seen, since = await watching
    assert seen == [("ADDED", "seen-1"), ("MODIFIED", "seen-1")]
    await asyncio.to_thread(core.delete_namespaced_config_map, "seen-1", NS)
    assert (await asyncio.to_thread(see, 1, since))[0] == [("DELETED", "seen-1")]


async def test_errors_have_status_bodies(core: Any) -> None:
    await asyncio.to_thread(core.create_namespaced_config_map, NS, config_map("taken"))
    code, status = await refused(core.create_namespaced_config_map, NS, config_map("taken"))
    assert (code, status["reason"]) == (409, "AlreadyExists")
    assert status["details"] == {"name": "taken", "kind": "configmaps"}
    stale = config_map("taken")
    stale.metadata.resource_version = "1"
    code, status = await refused(core.replace_namespaced_config_map, "taken", NS, stale)
    assert (code, status["reason"]) == (409, "Conflict")
    assert "the object has been modified; please apply your changes to the latest" in status["message"]
    code, status = await refused(core.create_namespaced_config_map, NS, config_map("Not_A_Name"))
    assert (code, status["details"]["causes"][0]["field"]) == (422, "metadata.name")
    code, status = await refused(core.create_namespaced_config_map, "nowhere", config_map("lost"))
    assert (code, status["message"]) == (404, 'namespaces "nowhere" not found')


async def test_manifests_are_created_by_kind(core: Any, api: Any) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-yaml"}, "data": {"a": "b"}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svc"}, "spec": {"ports": [{"port": 80}]}},
        ],
    }
    await asyncio.to_thread(utils.create_from_dict, api, manifest, namespace=NS)
    assert (await asyncio.to_thread(core.read_namespaced_service, "svc", NS)).spec.cluster_ip


@pytest_asyncio.fixture(loop_scope="module")
async def pod(core: Any) -> str:
    spec = client.V1PodSpec(node_name="n1", containers=[client.V1Container(name="main", image="x")])
    body = client.V1Pod(metadata=client.V1ObjectMeta(generate_name="web-"), spec=spec)
    return str((await asyncio.to_thread(core.create_namespaced_pod, NS, body)).metadata.name)


async def test_logs_and_exec(core: Any, pod: str) -> None:
    assert await asyncio.to_thread(core.read_namespaced_pod_log, pod, NS) == "one\n"

    def run(*command: str) -> tuple[str, int]:
        session = stream(
            core.connect_get_namespaced_pod_exec,
            *(pod, NS),
            command=list(command),
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )
        session.run_forever(timeout=10)
        return session.read_stdout() if session.peek_stdout() else "", session.returncode

    assert await asyncio.to_thread(run, "true") == ("", 0)
    assert await asyncio.to_thread(run, "false") == ("", 3)


async def test_input_is_written_to_an_exec(cluster: Cluster, core: Any, pod: str) -> None:
    def talk() -> str:
        session = stream(
            core.connect_get_namespaced_pod_exec,
            *(pod, NS),
            command=["cat"],
            stdin=True,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
        )
        session.write_stdin("hello\n")
        line = str(session.readline_stdout(timeout=10))
        session.close()
        return line

    assert await asyncio.to_thread(talk) == "hello"
    assert cluster.kubelet.requests[-1].startswith(f"/exec/{NS}/{pod}/main?command=cat")


async def test_versions_and_groups_are_discovered(api: Any) -> None:
    version = await asyncio.to_thread(client.VersionApi(api).get_code)
    assert (version.major, version.minor) == ("1", "37")
    groups = await asyncio.to_thread(client.ApisApi(api).get_api_versions)
    assert "apps" in {group.name for group in groups.groups}
    resources = await asyncio.to_thread(client.AppsV1Api(api).get_api_resources)
    assert "deployments" in {resource.name for resource in resources.resources}
