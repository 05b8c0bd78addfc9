"""Small bodies that mean much work: a server in a process of its own answers them soon, in little memory.

What a bomb costs is measured as the server's own time on the processor, so that a busy machine changes nothing, and as
the most memory that it ever held beyond what it held before.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from k8slite.config import StoreConfig
from tests.chaos.processes import ControlPlane, control_plane

from .custom.definitions import definition, establish, path, version

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 1.0
MEBIBYTES = 64
NAMESPACE = "/api/v1/namespaces/default/"
CONFIGMAPS = NAMESPACE + "configmaps"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
JSON, YAML = "application/json", "application/yaml"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
WORDS = {400, 409, 413, 422}
"""How Kubernetes refuses what it will not do."""


@dataclass
class Target:
    """The server, an administrator's client and one more, who wants to be answered all the time."""

    plane: ControlPlane
    http: httpx.AsyncClient
    other: httpx.AsyncClient

    @property
    def pid(self) -> int:
        process = self.plane.servers[0].process
        assert process is not None
        return process.pid

    def seconds(self) -> float:
        """Time on the processor since the start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mebibytes(self, name: str) -> float:
        """VmRSS, what it holds; VmHWM, the most that it held since `forget`."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

    def forget(self) -> None:
        """Forget how much it held."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    async def meet(self, method: str, url: str, content: bytes | str, media: str) -> httpx.Response:
        """Send a bomb, and see that it stays within bounds while another client is answered."""
        self.forget()
        held, spent = self.mebibytes("VmRSS"), self.seconds()
        bomb = asyncio.create_task(self.http.request(method, url, content=content, headers={"content-type": media}))
        while not bomb.done():
            assert (await self.other.get("/readyz")).status_code == 200
        answer = await bomb
        spent, grown = self.seconds() - spent, self.mebibytes("VmHWM") - held
        assert (spent < SECONDS, grown < MEBIBYTES) == (True, True), (spent, grown, answer.text[:200])
        return answer


@asynccontextmanager
async def client(plane: ControlPlane) -> AsyncIterator[httpx.AsyncClient]:
    config = plane.client_config("admin", user="kubernetes-admin", groups=["system:masters"])
    context = ssl.create_default_context(cafile=str(config.ca_file))
    assert config.cert_file is not None
    context.load_cert_chain(config.cert_file, config.key_file)
    async with httpx.AsyncClient(base_url=config.server, verify=context, timeout=60, trust_env=False) as http:
        yield http


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    directory = tmp_path_factory.mktemp("bombs")
    with control_plane(directory, StoreConfig(engine="sqlite", path=directory / "store.db")) as plane:
        await plane.ready()
        async with client(plane) as http, client(plane) as other:
            await http.post(NAMESPACE + "serviceaccounts", json={"metadata": {"name": "default"}})
            # What every first request of its sort brings along is nobody's bomb.
            for media in (JSON, YAML):
                await http.post(
                    CONFIGMAPS, content=b'{"metadata":{"name":"x"},"data":{"a":"b"}}', headers={"content-type": media}
                )
            for media in (MERGE, STRATEGIC, APPLY):
                body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"}}'
                await http.patch(f"{CONFIGMAPS}/x?fieldManager=m", content=body, headers={"content-type": media})
            await http.post(NAMESPACE + "pods", json=pod())
            await http.post(DEFINITIONS, json=definition("warms", "bombs.example.com"))
            yield Target(plane, http, other)


def pod(**container: Any) -> dict[str, Any]:
    return {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i", **container}]}}


def named(**members: Any) -> str:
    return orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, **members}).decode()


def laughs(levels: int = 9, fanout: int = 9) -> str:
    lines = ["a0: &a0 [" + ",".join(["lol"] * fanout) + "]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * fanout) + "]" for n in range(1, levels)]
    return "\n".join([*lines, "kind: ConfigMap", "apiVersion: v1", "metadata: {name: x}"])


MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9))
FEW = 30_000
MANY = 90_000

BODIES: dict[str, tuple[str, str]] = {
    "json lists": (JSON, "[" * 3_000_000),
    "json maps": (JSON, '{"a":' * 600_000),
    "json nulls": (JSON, '{"metadata":{"name":"x","finalizers":[' + "null," * MANY + "null]}}"),
    "json repeated": (JSON, '{"data":{' + ",".join(['"a":"1"'] * MANY) + "}}"),
    "json unknown": (JSON, "{" + ",".join(f'"a{n}":1' for n in range(MANY)) + "}"),
    "json number": (JSON, '{"metadata":{"generation":' + "9" * 3_000_000 + "}}"),
    "json backslashes": (JSON, '"' + "\\" * 2_000_000 + "," * 200_000),
    "yaml laughs": (YAML, laughs()),
    "yaml long text": (YAML, "a: &a " + "x" * 2_000_000 + "\nb: [" + ",".join(["*a"] * 1000) + "]"),
    "yaml merges": (YAML, MERGES),
    "yaml brackets": (YAML, "a: " + "[" * 3_000_000),
    "yaml dashes": (YAML, "- " * 1_500_000),
    "yaml braces": (YAML, "{a: " * 700_000),
    "yaml items": (YAML, "[" + "1," * 1_500_000 + "]"),
    "yaml anchors": (YAML, "[" + ",".join(f"&a{n} 1" for n in range(200_000)) + "]"),
    "yaml repeated": (YAML, "a: 1\n" * 49_000),
    "yaml number": (YAML, "a: " + "9" * 3_000_000),
    "yaml sexagesimal": (YAML, "a: 1" + ":1" * 1_000_000),
    "yaml recursion": (YAML, "a: &a [*a]"),
    "protobuf noise": (PROTOBUF, "k8s\0" + "\x08" * 3_000_000),
    "protobuf fields": (PROTOBUF, "k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x80\x80\x40" + "\x12\0" * (1 << 19)),
}
PATCHES: dict[str, tuple[str, str]] = {
    "brackets": (MERGE, '{"data":' + "[" * 3_000_000),
    "merge deep": (MERGE, '{"data":' + '{"a":' * 900 + "1" + "}" * 901),
    "strategic deep": (STRATEGIC, '{"data":' + '{"a":' * 900 + "1" + "}" * 901),
    "finalizers": (STRATEGIC, orjson.dumps({"metadata": {"finalizers": [f"{n}.b/c" for n in range(FEW)]}}).decode()),
    "finalizers away": (
        STRATEGIC,
        orjson.dumps({"metadata": {"$deleteFromPrimitiveList/finalizers": [f"{n}.b/c" for n in range(FEW)]}}).decode(),
    ),
    "owners": (
        STRATEGIC,
        orjson.dumps(
            {
                "metadata": {
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "K", "name": "n", "uid": str(n)} for n in range(15_000)
                    ]
                }
            }
        ).decode(),
    ),
    "kept keys": (STRATEGIC, orjson.dumps({"data": {"$retainKeys": [str(n) for n in range(FEW)]}}).decode()),
    "copies": (PATCH, orjson.dumps([{"op": "copy", "from": "/metadata", "path": "/metadata/a"}] * 10_000).decode()),
    "long pointer": (PATCH, orjson.dumps([{"op": "test", "path": "/a" * 1_000_000, "value": 1}]).decode()),
    "many pointers": (PATCH, orjson.dumps([{"op": "test", "path": "/a" * 200, "value": 1}] * 7000).decode()),
    "apply laughs": (APPLY, laughs()),
    "apply brackets": (APPLY, "a: " + "[" * 3_000_000),
    "apply flow": (APPLY, "[" * 3_000_000),
    "apply repeated": (APPLY, '{"kind":"ConfigMap","apiVersion":"v1","data":{' + ",".join(['"a":"1"'] * FEW) + "}}"),
    "apply number": (APPLY, '{"kind":"ConfigMap","apiVersion":"v1","data":{"a":' + "9" * 5000 + "}}"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies(target: Target, name: str) -> None:
    media, content = BODIES[name]
    raw = content.encode("latin-1") if media == PROTOBUF else content
    answer = await target.meet("POST", f"{CONFIGMAPS}?fieldValidation=Strict&dryRun=All", raw, media)
    assert answer.status_code in WORDS, answer.text[:300]
    assert answer.json()["kind"] == "Status"


@pytest.mark.parametrize("name", PATCHES)
async def test_patches(target: Target, name: str) -> None:
    media, content = PATCHES[name]
    manager = "&fieldManager=bomber" if media == APPLY else ""
    answer = await target.meet("PATCH", f"{CONFIGMAPS}/x?fieldValidation=Strict{manager}&dryRun=All", content, media)
    assert answer.status_code in {200, *WORDS}, answer.text[:300]


MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "pods/variables of one name": ("pods", pod(env=[{"name": "E", "value": "v"}] * 20_000)),
    "pods/mounts": ("pods", pod(volumeMounts=[{"name": "v", "mountPath": f"/{n}"} for n in range(20_000)])),
    "pods/nothing": ("pods", {"metadata": {"name": "p"}, "spec": {"containers": [{}] * 40_000}}),
    "pods/quantity": ("pods", pod(resources={"limits": {"cpu": "1e999999999", "memory": "9" * 100_000}})),
    "pods/owners": (
        "pods",
        pod()
        | {
            "metadata": {
                "name": "o",
                "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}] * 15_000,
            }
        },
    ),
    "configmaps/keys": ("configmaps", {"metadata": {"name": "k"}, "data": {f"k {n}": "" for n in range(40_000)}}),
    "configmaps/labels": (
        "configmaps",
        {"metadata": {"name": "l", "labels": {f"/{n}": "v v" for n in range(30_000)}}},
    ),
    "configmaps/entries": (
        "configmaps",
        {
            "metadata": {
                "name": "m",
                "managedFields": [
                    {
                        "manager": f"m{n}",
                        "operation": "Update",
                        "apiVersion": "v1",
                        "fieldsType": "FieldsV1",
                        "fieldsV1": {"f:data": {}},
                    }
                    for n in range(8000)
                ],
            }
        },
    ),
    "configmaps/name": ("configmaps", {"metadata": {"name": "a-" * 1_400_000}}),
    "services/addresses": (
        "services",
        {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}], "externalIPs": ["9" * 5000 + ".1.1.1"] * 500}},
    ),
}


@pytest.mark.parametrize("name", MADE)
async def test_objects(target: Target, name: str) -> None:
    plural, body = MADE[name]
    answer = await target.meet("POST", f"{NAMESPACE}{plural}?dryRun=All", orjson.dumps(body), JSON)
    assert answer.status_code in {201, *WORDS}, answer.text[:300]


async def test_a_refusal_names_a_thousand_causes(target: Target) -> None:
    body = {"metadata": {"name": "f", "finalizers": [str(n) for n in range(FEW)]}}
    answer = await target.meet("POST", CONFIGMAPS, orjson.dumps(body), JSON)
    assert answer.status_code == 422
    assert len(answer.json()["details"]["causes"]) == 1000
    assert answer.json()["message"].endswith(f"and {FEW - 1000} more]")


SCHEMAS: dict[str, dict[str, Any]] = {
    "pattern": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}},
    "pattern of nothing": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(.*)(.*)(.*)(.*)z"}}},
    "words": {
        "type": "object",
        "properties": {"b": {"type": "array", "items": {"type": "string", "enum": [str(n) for n in range(5000)]}}},
    },
    "set": {
        "type": "object",
        "properties": {"b": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}},
    },
    "defaults": {
        "type": "object",
        "properties": {
            "c": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "d": {"type": "object", "default": {"x": "y" * 1000}, "properties": {"x": {"type": "string"}}}
                    },
                },
            }
        },
    },
}
INSTANCE = {"a": "a" * 500_000 + "b", "b": [f"z{n}" for n in range(FEW)], "c": [{}] * FEW}


@pytest.mark.parametrize("name", SCHEMAS)
async def test_custom_resources(target: Target, name: str) -> None:
    made = definition(f"{name.replace(' ', '')}s", "bombs.example.com", version(schema=SCHEMAS[name]))
    await establish(target.http, made)
    kind = made["spec"]["names"]["kind"]
    content = {key: INSTANCE[key] for key in SCHEMAS[name]["properties"]}
    body = {"apiVersion": "bombs.example.com/v1", "kind": kind, "metadata": {"name": "x"}, **content}
    answer = await target.meet("POST", path(made), orjson.dumps(body), JSON)
    assert answer.status_code in ({201} if name == "set" else {422, 500} if name == "defaults" else {422})
    if answer.status_code == 500:
        assert answer.json()["message"] == "etcdserver: request is too large"


def rule(text: str) -> dict[str, Any]:
    members = {
        "l": {"type": "array", "maxItems": 1000, "items": {"type": "string", "maxLength": 100}},
        "s": {"type": "string", "maxLength": 100_000},
    }
    return {"type": "object", "properties": members, "x-kubernetes-validations": [{"rule": text}]}


def nested(schema: dict[str, Any], times: int) -> dict[str, Any]:
    for _ in range(times):
        schema = {"anyOf": [schema, schema]}
    return schema


DEFINED: dict[str, dict[str, Any]] = {
    "loops": rule('self.l.all(a, self.l.all(b, self.l.all(c, a + b + c != "z")))'),
    "parentheses": rule("(" * 5000 + "true" + ")" * 5000),
    "negations": rule("!" * 5000 + "true"),
    "lists": rule("[" * 3000 + "]" * 3000 + " == []"),
    "choices": rule("true ? " * 2000 + "true" + " : true" * 2000),
    "digits": rule("9" * 5000 + " == 1"),
    "pattern": {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "(((a{1000}){1000}){1000}){1000}"}},
    },
    "fields": {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(10_000)}},
    "alternatives": {"type": "object", "properties": {"a": {"type": "string"}}, **nested({"required": ["a"]}, 10)},
}


@pytest.mark.parametrize("name", DEFINED)
async def test_definitions(target: Target, name: str) -> None:
    made = definition(f"defined{name}", "bombs.example.com", version(schema=DEFINED[name]))
    answer = await target.meet("POST", f"{DEFINITIONS}?dryRun=All", orjson.dumps(made), JSON)
    assert answer.status_code in {201, *WORDS}, answer.text[:300]


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"spec": {"user": "u", "groups": [f"g{n}" for n in range(MANY)], "resourceAttributes": {"verb": "get"}}},
        ),
        ("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "a." * 1_400_000}}),
        (
            "/apis/certificates.k8s.io/v1/certificatesigningrequests?dryRun=All",
            {"metadata": {"name": "c"}, "spec": {"signerName": "a.b/c", "request": "AAAA", "usages": ["any"] * MANY}},
        ),
        (
            "/apis/batch/v1/namespaces/default/cronjobs?dryRun=All",
            {"metadata": {"name": "c"}, "spec": {"schedule": "9" * 5000 + " * * * *", "jobTemplate": {}}},
        ),
        (
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets?dryRun=All",
            {"metadata": {"name": "p"}, "spec": {"minAvailable": "9" * 1_000_000 + "%"}},
        ),
    ],
)
async def test_others(target: Target, url: str, body: dict[str, Any]) -> None:
    answer = await target.meet("POST", url, orjson.dumps(body), JSON)
    assert answer.status_code in {201, *WORDS}, answer.text[:300]
