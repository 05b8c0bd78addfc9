"""The real kubectl against the real server: what people type first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: default}
data: {text: "%s"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: default}
spec:
  replicas: %d
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: web, image: "web:1", ports: [{containerPort: 80}]}]}
"""


Run = Callable[..., Awaitable[str]]


@pytest.fixture
def kubectl(server: RunningServer) -> Run:
    command = Kubectl(server)

    async def run(words: str, *, text: str = "", code: int = 0) -> str:
        result = await command(*words.split(), stdin=text)
        assert result.code == code, result
        return "".join(filter(None, (result.out, result.err)))

    return run


async def test_apply_changes_what_changed(kubectl: Run) -> None:
    assert await kubectl("apply -f -", text=MANIFEST % ("one", 1)) == (
        "configmap/page created\ndeployment.apps/front created"
    )
    assert await kubectl("apply -f -", text=MANIFEST % ("one", 1)) == (
        "configmap/page unchanged\ndeployment.apps/front unchanged"
    )
    assert await kubectl("apply -f -", text=MANIFEST % ("two", 3)) == (
        "configmap/page configured\ndeployment.apps/front configured"
    )
    assert "deployment.apps/front   0/3" in await kubectl("get deployments.apps/front cm/page")
    assert await kubectl("get cm page -o jsonpath={.data.text}") == "two"
    gone = await kubectl("delete -f -", text=MANIFEST % ("two", 3))
    assert gone.splitlines()[0].startswith('configmap "page" deleted')


async def test_kinds_that_are_not_served_are_named(kubectl: Run) -> None:
    manifest = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a, namespace: default}\n"
    answer = await kubectl("apply -f -", text=manifest, code=1)
    assert 'no matches for kind "Widget" in version "example.com/v1"\nensure CRDs are installed first' in answer


async def test_deprecated_kinds_warn(kubectl: Run) -> None:
    assert "Warning: v1 Endpoints is deprecated in v1.33+" in await kubectl("get endpoints")


async def test_generators_speak_protobuf(kubectl: Run) -> None:
    assert await kubectl("create deployment gen --image=web:1 --replicas=2 --port=80") == "deployment.apps/gen created"
    assert await kubectl("expose deployment gen --port=80 --target-port=8080") == "service/gen exposed"
    assert await kubectl("set image deployment/gen web=web:2") == "deployment.apps/gen image updated"
    assert await kubectl("scale deployment gen --replicas=5") == "deployment.apps/gen scaled"
    assert await kubectl(
        "get deployment gen -o jsonpath={.spec.replicas}{.spec.template.spec.containers[0].image}"
    ) == ("5web:2")
    assert "TargetPort:               8080/TCP" in await kubectl("describe service gen")
    await kubectl("create job once --image=web:1")
    await kubectl("create secret generic keys --from-literal=a=b")
    assert await kubectl("get secret keys -o jsonpath={.data.a}") == "Yg=="
    await kubectl("delete deployment,service gen")


async def test_labels_annotations_and_edits(kubectl: Run) -> None:
    await kubectl("run single --image=web:1")
    assert await kubectl("label pod single tier=front") == "pod/single labeled"
    assert await kubectl("annotate pod single note=yes") == "pod/single annotated"
    assert "single" in await kubectl("get pods -l tier=front --no-headers")
    assert "Annotations:      note: yes" in await kubectl("describe pod single")
    refused = await kubectl('patch pod single -p {"spec":{"hostname":"x"}}', code=1)
    assert 'The Pod "single" is invalid: spec: Forbidden: pod updates may not change' in refused
    assert (await kubectl("delete pod single")).startswith('pod "single" deleted')
    assert (await kubectl("get pod single", code=1)) == 'Error from server (NotFound): pods "single" not found'


async def test_nodes_are_cordoned_and_tainted(kubectl: Run) -> None:
    await kubectl("create -f -", text="{apiVersion: v1, kind: Node, metadata: {name: n1}}")
    assert await kubectl("cordon n1") == "node/n1 cordoned"
    assert await kubectl("taint node n1 a=b:NoSchedule") == "node/n1 tainted"
    assert "SchedulingDisabled" in await kubectl("get nodes")


async def test_discovery_and_explanations(kubectl: Run) -> None:
    assert "deployments" in await kubectl("api-resources --api-group=apps -o name")
    assert "replicas" in await kubectl("explain deployment.spec")
    assert "v1.37" in await kubectl("version")
