"""RBAC against a reference: users with random roles act at random, and never end up with more than the model grants.

Each graph begins with roles and bindings that an administrator made. Then users create, replace, patch, apply and
delete roles and bindings, aggregated ones too, for themselves, for others and as others. Every request goes through
the server's whole pipeline, in this process. Three things must hold:

- the server allows what the model allows and refuses what it refuses, request by request;
- what the users may do afterwards is what the model says, tried on random questions;
- where nobody holds `escalate`, `bind` or `impersonate`, nobody can do anything that none of them could at first.

`make model` runs all 5,000 graphs.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.testing import RunningServer, running_server

from .rbac_model import BINDINGS, GROUP, ROLES, Document, Model

pytestmark = pytest.mark.asyncio(loop_scope="module")

USERS = ("u0", "u1", "u2", "u3")
NAMESPACES = ("a", "b")
KINDS = {
    "roles": "Role",
    "clusterroles": "ClusterRole",
    "rolebindings": "RoleBinding",
    "clusterrolebindings": "ClusterRoleBinding",
}
LABEL = "gather"
VERBS = ("get", "list", "create", "update", "patch", "delete")
POWERS = ("escalate", "bind", "impersonate", "*")
GROUPS = ("", GROUP, "apps", "*")
RESOURCES = ("pods", "secrets", "pods/log", "deployments/scale", "*/scale", "users", "groups", "*", *ROLES, *BINDINGS)
NAMES = ("r0", "r1", "c0", "c1", "u1", "team")
STEPS = 20
QUESTIONS = 60


def groups_of(user: str) -> list[str]:
    return [*(["team"] if user in ("u2", "u3") else []), "system:authenticated"]


class World:
    """The server, called in this process, and the model beside it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.model = Model()

    async def request(self, user: str, method: str, path: str, body: Any = None, *, acts_as: str = "") -> int:
        """One request; the status of its answer."""
        kind = {"PATCH": b"application/merge-patch+json", "APPLY": b"application/apply-patch+yaml"}
        headers = [
            (b"authorization", f"Bearer token-of-{user}".encode()),
            (b"content-type", kind.get(method, b"application/json")),
        ]
        if acts_as:
            headers.append((b"impersonate-user", acts_as.encode()))
        query = b"fieldManager=m&force=true" if method == "APPLY" else b""
        content = json.dumps(body).encode() if body is not None else b""
        scope = {
            "type": "http",
            "method": "PATCH" if method == "APPLY" else method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "state": {},
        }
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        await self.server.app(scope, receive, send)
        return status

    async def may(self, user: str, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        plural, _, subresource = resource.partition("/")
        attributes = Attributes(
            User(user, groups=tuple(groups_of(user))),
            verb,
            group=group,
            resource=plural,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )
        return (await self.server.app.authorizer.authorize(attributes))[0] is Decision.ALLOW


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    path: Path = tmp_path_factory.mktemp("model") / "tokens.csv"
    lines = [f'token-of-{user},{user},{user},"{",".join(groups_of(user)[:-1])}"' for user in USERS]
    path.write_text("\n".join([*lines, 'token-of-root,root,root,"system:masters"']))
    async with running_server(token_file=path, serviceaccounts=False) as running, running.http() as http:
        for name in NAMESPACES:
            assert (await http.post("/api/v1/namespaces", json={"metadata": {"name": name}})).status_code == 201
        yield running


def path_of(plural: str, namespace: str, name: str = "") -> str:
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{GROUP}/v1{place}/{plural}" + (f"/{name}" if name else "")


def wire(plural: str, namespace: str, name: str, content: Document) -> Document:
    """An object of the model as the API has it."""
    metadata: Document = {"name": name, "labels": content.get("labels", {})}
    if namespace:
        metadata["namespace"] = namespace
    rest = {key: value for key, value in content.items() if key != "labels"}
    return {"apiVersion": f"{GROUP}/v1", "kind": KINDS[plural], "metadata": metadata, **copy.deepcopy(rest)}


class Maker:
    """Makes roles and bindings at random. `powers`: whether they may hold what goes beyond plain rules."""

    def __init__(self, source: random.Random, model: Model, *, powers: bool) -> None:
        self._source = source
        self._model = model
        self._powers = powers

    def rule(self) -> Document:
        """A rule: a new one, a power, or part of one that some role has, which its writer may well hold."""
        pick = self._source
        known = [rule for plural in ROLES for role in self._model.objects[plural].values() for rule in role["rules"]]
        if known and pick.random() < 0.6:
            return self._part(pick.choice(known))
        if self._powers and pick.random() < 0.4:
            return self._power()
        rule = {
            "verbs": pick.sample(VERBS, pick.randint(1, 4)),
            "apiGroups": pick.sample(GROUPS[: None if self._powers else 3], pick.randint(1, 2)),
            "resources": pick.sample(RESOURCES, pick.randint(1, 3)),
        }
        if pick.random() < 0.2:
            rule["resourceNames"] = pick.sample(NAMES, pick.randint(1, 2))
        return rule

    def _part(self, whole: Document) -> Document:
        pick, part = self._source, copy.deepcopy(whole)
        for words in part.values():
            if len(words) > 1 and pick.random() < 0.5:
                words.remove(pick.choice(words))
        if "resourceNames" in part and pick.random() < 0.3:
            del part["resourceNames"]
        elif pick.random() < 0.15:
            part["resourceNames"] = [pick.choice(NAMES)]
        return part

    def _power(self) -> Document:
        pick = self._source
        match pick.choice(POWERS):
            case "impersonate":
                rule: Document = {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"]}
            case "*":
                return {"verbs": ["*"], "apiGroups": [pick.choice(GROUPS)], "resources": [pick.choice(RESOURCES)]}
            case power:
                rule = {"verbs": [power], "apiGroups": [GROUP], "resources": [pick.choice((*ROLES, "*"))]}
        if pick.random() < 0.4:
            rule["resourceNames"] = pick.sample(USERS if rule["resources"] == ["users"] else NAMES[:4], 2)
        return rule

    def writer(self) -> Document:
        """A rule that lets its holder write RBAC at all: without one nothing happens."""
        pick = self._source
        resources = pick.sample((*ROLES, *BINDINGS), pick.randint(3, 4))
        return {"verbs": list(VERBS), "apiGroups": [GROUP], "resources": resources}

    def content(self, plural: str) -> Document:
        pick = self._source
        if plural in BINDINGS:
            kind = "ClusterRole" if plural == "clusterrolebindings" or pick.random() < 0.5 else "Role"
            name = pick.choice(("c0", "c1", "c2", "c3") if kind == "ClusterRole" else ("r0", "r1", "r2"))
            subjects = [self._subject() for _ in range(pick.randint(1, 2))]
            return {"roleRef": {"apiGroup": GROUP, "kind": kind, "name": name}, "subjects": subjects}
        rules = [self.rule() for _ in range(pick.randint(1, 2))]
        if pick.random() < 0.4:
            rules.append(self.writer())
        made: Document = {"rules": rules, "labels": {}}
        if plural == "clusterroles":
            if pick.random() < 0.3:
                made["labels"] = {LABEL: pick.choice("xy")}
            if pick.random() < 0.15:
                made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {LABEL: pick.choice("xy")}}]}
        return made

    def _subject(self) -> Document:
        if self._source.random() < 0.25:
            return {"kind": "Group", "apiGroup": GROUP, "name": "team"}
        return {"kind": "User", "apiGroup": GROUP, "name": self._source.choice(USERS)}

    def place(self) -> tuple[str, str, str]:
        pick = self._source
        plural = pick.choice((*ROLES, *BINDINGS))
        namespace = "" if plural.startswith("cluster") else pick.choice(NAMESPACES)
        prefix = {"roles": "r", "clusterroles": "c"}.get(plural, "b")
        return plural, namespace, f"{prefix}{pick.randint(0, 3)}"

    def changed(self, plural: str, old: Document) -> Document:
        """Another content of an object that is there; a binding keeps its role."""
        pick, new = self._source, copy.deepcopy(old)
        fresh = self.content(plural)
        if plural in BINDINGS:
            new["subjects"] = fresh["subjects"]
            return new
        match pick.randint(0, 3):
            case 0:
                new["labels"] = fresh["labels"]
            case 1:
                return fresh
            case 2:
                new["rules"] = [*old["rules"], *fresh["rules"]]
            case _:
                new["rules"] = old["rules"][:-1]
        return new


async def begin(world: World, maker: Maker, source: random.Random) -> None:
    """What an administrator made before anybody acts."""
    places = [("clusterroles", "", f"c{n}") for n in range(source.randint(2, 4))]
    places += [("roles", source.choice(NAMESPACES), f"r{n}") for n in range(source.randint(1, 3))]
    places += [("clusterrolebindings", "", f"b{n}") for n in range(source.randint(1, 2))]
    places += [("rolebindings", source.choice(NAMESPACES), f"b{n}") for n in range(source.randint(1, 3))]
    for plural, namespace, name in places:
        content = maker.content(plural)
        if name == "c0":  # somebody can do something
            content = {"rules": [*content["rules"], maker.writer()], "labels": {}}
        elif plural == "clusterrolebindings":
            content["roleRef"]["name"] = "c0"
        status = await world.request("root", "POST", path_of(plural, namespace), wire(plural, namespace, name, content))
        assert status == 201
        world.model.objects[plural][namespace, name] = content


async def end(world: World) -> None:
    for plural, objects in world.model.objects.items():
        for namespace, name in list(objects):
            assert await world.request("root", "DELETE", path_of(plural, namespace, name)) == 200


def expected(
    world: World, user: str, groups: list[str], method: str, place: tuple[str, str, str], new: Document | None
) -> bool:
    """Whether the model lets a request pass."""
    plural, namespace, name = place
    model, old = world.model, world.model.objects[plural].get((namespace, name))

    def may(verb: str, *, named: bool = True) -> bool:
        return model.allowed(user, groups, (verb, GROUP, plural, name if named else ""), namespace)

    match method:
        case "DELETE":
            return may("delete") and old is not None
        case "POST":
            verbs = may("create", named=False) and old is None
        case "PUT":
            verbs = may("update") and (old is not None or may("create"))
        case "PATCH":
            verbs = may("patch") and old is not None
        case _:
            verbs = may("patch") and (old is not None or may("create"))
    assert new is not None
    return verbs and model.may_write(user, groups, place, new, old)


def as_another(world: World, user: str, other: str) -> bool:
    return world.model.allowed(user, groups_of(user), ("impersonate", "", "users", other), "")


def wish(maker: Maker, source: random.Random, plural: str, old: Document | None) -> tuple[str, Document | None]:
    """A method, and the content that the object shall have."""
    if old is None:
        return source.choice(("POST", "PUT", "APPLY")), maker.content(plural)
    method = source.choice(("POST", "PUT", "PATCH", "APPLY", "DELETE"))
    if method == "DELETE":
        return method, None
    new = maker.changed(plural, old)
    if method == "APPLY":  # what becomes of others' labels and lists is another test's subject
        new = {**old, "rules": new["rules"]} if plural in ROLES else old
    return method, new


async def act(world: World, maker: Maker, source: random.Random) -> str:
    """One request of somebody; what happened, for who reads a failure."""
    user, place = source.choice(USERS), maker.place()
    plural, namespace, name = place
    others = [one for one in USERS if as_another(world, user, one)]
    other = source.choice(others if others and source.random() < 0.7 else USERS) if source.random() < 0.25 else ""
    old = world.model.objects[plural].get((namespace, name))
    method, new = wish(maker, source, plural, old)
    body = None if new is None else wire(plural, namespace, name, new)
    if method == "PATCH" and body is not None and new is not None and old is not None and plural in ROLES:
        body["metadata"]["labels"] = dict.fromkeys(old["labels"]) | new["labels"]
        if plural == "clusterroles":
            body["aggregationRule"] = new.get("aggregationRule")
    # Who is impersonated by name alone has the one group of all who are known.
    groups = ["system:authenticated"] if other else groups_of(user)
    wanted = expected(world, other or user, groups, method, place, new)
    wanted = wanted and (not other or as_another(world, user, other))
    path = path_of(plural, namespace) if method == "POST" else path_of(plural, namespace, name)
    status = await world.request(user, method, path, body, acts_as=other)
    happened = f"{user}{f' as {other}' if other else ''}: {method} {path} {json.dumps(new)} -> {status}"
    assert (status < 300) == wanted, f"{happened}, the model says {wanted}"
    if wanted and new is None:
        del world.model.objects[plural][namespace, name]
    elif wanted and new is not None:
        world.model.objects[plural][namespace, name] = copy.deepcopy(new)
    return happened


def questions(source: random.Random) -> list[tuple[str, str, str, str, str]]:
    verbs, groups = (*VERBS, "escalate", "bind", "impersonate", "other"), ("", GROUP, "apps", "other")
    resources = ("pods", "secrets", "pods/log", "deployments/scale", "users", "other", *ROLES, *BINDINGS)
    return [
        (
            source.choice(verbs),
            source.choice(groups),
            source.choice(resources),
            source.choice(("", *NAMESPACES)),
            source.choice(("", "other", *NAMES)),
        )
        for _ in range(QUESTIONS)
    ]


async def held_by_any(world: World, asked: list[tuple[str, str, str, str, str]]) -> set[int]:
    found = set()
    for index, question in enumerate(asked):
        if any([await world.may(user, *question) for user in USERS]):
            found.add(index)
    return found


async def check(server: RunningServer, seed: int) -> None:
    source = random.Random(seed)
    powers = seed % 2 == 0
    world = World(server)
    maker = Maker(source, world.model, powers=powers)
    await begin(world, maker, source)
    asked, history = questions(source), []
    before = await held_by_any(world, asked)
    try:
        for _ in range(STEPS):
            history.append(await act(world, maker, source))
        for question in asked[:15]:
            verb, group, resource, namespace, name = question
            for user in USERS:
                wanted = world.model.allowed(user, groups_of(user), (verb, group, resource, name), namespace)
                assert await world.may(user, *question) is wanted, (user, question)
        if not powers:
            gained = await held_by_any(world, asked) - before
            assert not gained, [asked[index] for index in gained]
    except AssertionError as error:
        start = "\n".join(history)
        raise AssertionError(f"graph {seed}: {error}\n{start}") from None
    finally:
        await end(world)


@pytest.mark.timeout(600)
async def test_no_allowed_sequence_exceeds_the_model(server: RunningServer) -> None:
    for seed in range(300):
        await check(server, seed)


@pytest.mark.model
@pytest.mark.timeout(3600)
async def test_no_allowed_sequence_of_5000_graphs_exceeds_the_model(server: RunningServer) -> None:
    for seed in range(300, 5300):
        await check(server, seed)
