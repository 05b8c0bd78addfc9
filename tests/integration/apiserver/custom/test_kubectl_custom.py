"""kubectl and custom resources: everything that works for built-in kinds works for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from k8slite.testing import running_server
from k8slite.testing.kubectl import Kubectl

_DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all, periodic]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale:
        specReplicasPath: .spec.replicas
        statusReplicasPath: .status.replicas
        labelSelectorPath: .status.labelSelector
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        description: Something that is done again and again.
        type: object
        properties:
          spec:
            description: What is done, and when.
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {description: The times., type: string, pattern: '^\\S+( \\S+){4}$'}
              image: {type: string, default: busybox}
              replicas: {type: integer, minimum: 1, maximum: 10}
              ports:
                type: array
                items: {type: object, properties: {port: {type: integer}, protocol: {type: string, enum: [TCP, UDP]}}}
          status:
            type: object
            properties: {replicas: {type: integer}, labelSelector: {type: string}}
"""
_OBJECT = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: one}
spec: {cronSpec: '* * * * */5', replicas: 2}
"""


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def kubectl(request: pytest.FixtureRequest) -> AsyncIterator[Kubectl]:
    async with running_server(store=request.param) as server:
        run = Kubectl(server)
        assert (await run("apply", "-f", "-", stdin=_DEFINITION)).code == 0
        waited = await run("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=10s")
        assert waited.code == 0, waited.err
        await run("api-resources")  # kubectl keeps what it discovered before
        yield run


async def test_a_defined_kind_is_used_like_a_built_in_one(kubectl: Kubectl) -> None:
    applied = await kubectl("apply", "-f", "-", stdin=_OBJECT)
    assert (applied.code, applied.out) == (0, "crontab.stable.example.com/one created")
    listed = (await kubectl("get", "ct")).out.splitlines()
    assert listed[0].split() == ["NAME", "SPEC", "REPLICAS", "AGE"]
    assert listed[1].startswith("one    * * * * */5   2")
    assert "IMAGE" in (await kubectl("get", "crontab", "one", "-o", "wide")).out
    assert "crontab.stable.example.com/one" in (await kubectl("get", "all", "-o", "name")).out
    assert (await kubectl("get", "periodic", "-o", "name")).out == "crontab.stable.example.com/one"
    assert (await kubectl("get", "ct/one", "-o", "jsonpath={.spec.image}")).out == "busybox"
    scaled = await kubectl("scale", "ct/one", "--replicas=4")
    assert (scaled.code, scaled.out) == (0, "crontab.stable.example.com/one scaled")
    await kubectl("patch", "ct", "one", "--type=merge", "-p", '{"spec":{"image":"alpine"}}')
    assert (await kubectl("get", "ct/one", "-o", "jsonpath={.spec.image}{.spec.replicas}")).out == "alpine4"
    assert "4" in (await kubectl("describe", "ct", "one")).out
    assert (await kubectl("delete", "ct", "--all")).code == 0
    assert (await kubectl("get", "ct")).err == "No resources found in default namespace."


async def test_explain_knows_its_fields(kubectl: Kubectl) -> None:
    told = (await kubectl("explain", "ct.spec")).out
    assert "GROUP:      stable.example.com" in told
    assert "What is done, and when." in told
    assert "cronSpec\t<string> -required-\n    The times." in told
    assert "ports\t<[]Object>" in told
    assert "enum: TCP, UDP" in (await kubectl("explain", "ct", "--recursive")).out
    assert (await kubectl("explain", "ct.spec.nothing")).err.endswith('field "nothing" does not exist')


async def test_discovery_lists_its_names(kubectl: Kubectl) -> None:
    listed = (await kubectl("api-resources", "--api-group=stable.example.com", "--no-headers", "-o", "wide")).out
    verbs = "create,delete,deletecollection,get,list,patch,update,watch"
    assert listed.split() == ["crontabs", "ct", "stable.example.com/v1", "true", "CronTab", verbs, "all,periodic"]
    assert "stable.example.com/v1" in (await kubectl("api-versions")).out.splitlines()


async def test_a_wrong_object_is_refused_with_every_reason(kubectl: Kubectl) -> None:
    unknown = await kubectl("create", "-f", "-", stdin=_OBJECT.replace("2}", "2, foo: 3}"))
    assert unknown.code == 1
    assert 'strict decoding error: unknown field "spec.foo"' in unknown.err
    wrong = _OBJECT.replace("2}", "20, ports: [{protocol: X}]}")
    assert set((await kubectl("create", "-f", "-", stdin=wrong)).err.splitlines()) == {
        'The CronTab "one" is invalid: ',
        "* spec.replicas: Invalid value: 20: spec.replicas in body should be less than or equal to 10",
        '* spec.ports[0].protocol: Unsupported value: "X": supported values: "TCP", "UDP"',
    }
    missing = await kubectl("create", "-f", "-", stdin=_OBJECT.replace("cronSpec: '* * * * */5', ", ""))
    assert missing.err == 'The CronTab "one" is invalid: spec.cronSpec: Required value'


async def test_deleting_the_definition_deletes_the_objects(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=_OBJECT)
    deleted = await kubectl("delete", "crd", "crontabs.stable.example.com", "--timeout=10s")
    assert deleted.code == 0, deleted.err
    assert "stable.example.com" not in (await kubectl("api-versions")).out
    assert (await kubectl("apply", "-f", "-", stdin=_DEFINITION)).code == 0
    await kubectl("wait", "--for=condition=Established", "crd/crontabs.stable.example.com", "--timeout=10s")
    assert (await kubectl("get", "ct")).err == "No resources found in default namespace."
