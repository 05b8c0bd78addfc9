"""kubectl's server-side apply, its way there from client-side apply, and what it shows of owners."""

from __future__ import annotations

import pytest
import pytest_asyncio
import yaml

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kubectl(server: RunningServer) -> Kubectl:
    return Kubectl(server)


def manifest(name: str, *, replicas: int | None = 1, image: str = "web:1") -> str:
    labels = {"app": name}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


async def read(kubectl: Kubectl, name: str, path: str) -> str:
    return (await kubectl("get", "deployment", name, "-o", f"jsonpath={path}")).out


async def test_apply_and_take_over_by_force(kubectl: Kubectl) -> None:
    made = await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("force"))
    assert (made.code, made.out) == (0, "deployment.apps/force serverside-applied"), made.err
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = await kubectl(*other, stdin=manifest("force", replicas=2))
    assert refused.code == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in refused.err
    forced = await kubectl(*other, "--force-conflicts", stdin=manifest("force", replicas=2))
    assert forced.code == 0, forced.err
    assert await read(kubectl, "force", "{.spec.replicas}") == "2"
    managers = "{range .metadata.managedFields[*]}{.manager}/{.operation} {end}"
    assert await read(kubectl, "force", managers) == "kubectl/Apply other/Apply"


async def test_dry_run_and_diff_store_nothing(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("diff"))
    differs = await kubectl("diff", "--server-side", "-f", "-", stdin=manifest("diff", image="web:2"))
    assert differs.code == 1 and "-      - image: web:1" in differs.out and "+      - image: web:2" in differs.out
    same = await kubectl("diff", "--server-side", "-f", "-", stdin=manifest("diff"))
    assert (same.code, same.out) == (0, ""), same.err
    tried = await kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=manifest("diff", replicas=7))
    assert tried.out == "deployment.apps/diff serverside-applied (server dry run)"
    assert await read(kubectl, "diff", "{.spec.replicas}") == "1"


async def test_objects_of_client_side_apply_are_taken_over(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest("migrated"))
    managers = "{range .metadata.managedFields[*]}{.manager}/{.operation} {end}"
    assert await read(kubectl, "migrated", managers) == "kubectl-client-side-apply/Update"
    taken = await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("migrated", image="web:2"))
    assert taken.code == 0, taken.err
    assert await read(kubectl, "migrated", "{.spec.template.spec.containers[0].image}") == "web:2"
    assert await read(kubectl, "migrated", managers) == "kubectl/Apply kubectl-last-applied/Apply"
    left_out = await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("migrated", replicas=None))
    assert left_out.code == 0, left_out.err
    back = await kubectl("apply", "-f", "-", stdin=manifest("migrated", image="web:3"))
    assert back.code == 0, back.err
    assert await read(kubectl, "migrated", "{.spec.template.spec.containers[0].image}") == "web:3"


async def test_owners_are_shown_when_asked_for(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "shown", "--from-literal=a=b")
    plain = yaml.safe_load((await kubectl("get", "configmap", "shown", "-o", "yaml")).out)
    assert "managedFields" not in plain["metadata"]
    shown = await kubectl("get", "configmap", "shown", "-o", "yaml", "--show-managed-fields")
    (entry,) = yaml.safe_load(shown.out)["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == (
        "kubectl-create",
        "Update",
        {"f:data": {".": {}, "f:a": {}}},
    )


async def test_scaling_and_labelling_name_their_commands(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("commands"))
    assert (await kubectl("scale", "deployment", "commands", "--replicas=4")).code == 0
    assert (await kubectl("label", "deployment", "commands", "a=b")).code == 0
    managers = "{range .metadata.managedFields[*]}{.manager}/{.subresource} {end}"
    assert await read(kubectl, "commands", managers) == "kubectl/ kubectl/scale kubectl-label/"
    refused = await kubectl("apply", "--server-side", "-f", "-", stdin=manifest("commands"))
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused.err
