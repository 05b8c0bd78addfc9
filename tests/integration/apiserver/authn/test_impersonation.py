"""Acting as somebody else: what is asked for, who is then believed to act, and who must not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

from .clients import AUTHENTICATION

pytestmark = pytest.mark.asyncio(loop_scope="module")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "authentication.k8s.io"
Headers = list[tuple[str, str]]


@pytest_asyncio.fixture(loop_scope="module")
async def actor(server: RunningServer, http: httpx.AsyncClient, request: pytest.FixtureRequest) -> Actor:
    return Actor(server, http, "actor-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()))


class Actor:
    """A user of a test's own, who may do nothing at first."""

    def __init__(self, server: RunningServer, admin: httpx.AsyncClient, name: str) -> None:
        self.server = server
        self.admin = admin
        self.name = name[:60].strip("-")
        self.grants = 0

    async def may(self, verbs: str, resources: str, *, group: str = "", names: tuple[str, ...] = ()) -> None:
        """Allow verbs on resources of one group."""
        self.grants += 1
        role = f"{self.name}-{self.grants}"
        rule = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
        if names:
            rule["resourceNames"] = list(names)
        subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": self.name}
        reference = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": role}
        for path, body in (
            ("clusterroles", {"metadata": {"name": role}, "rules": [rule]}),
            ("clusterrolebindings", {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}),
        ):
            answer = await self.admin.post(f"{RBAC}/{path}", json=body)
            assert answer.status_code == 201, answer.text

    async def get(self, path: str, headers: Headers) -> httpx.Response:
        async with self.server.http(self.server.client_config(self.name)) as http:
            return await http.get(path, headers=headers)

    async def whoami(self, headers: Headers) -> Any:
        """Whom the server takes it for, or the message of its refusal."""
        body = {"apiVersion": f"{GROUP}/v1", "kind": "SelfSubjectReview"}
        async with self.server.http(self.server.client_config(self.name)) as http:
            answer = await http.post(f"{AUTHENTICATION}/selfsubjectreviews", json=body, headers=headers)
        content = answer.json()
        return content["status"]["userInfo"] if answer.status_code == 201 else content["message"]


def acting(name: str = "", *more: tuple[str, str]) -> Headers:
    return [*([("Impersonate-User", name)] if name else []), *more]


async def test_everything_of_a_user_needs_leave_of_its_own(actor: Actor) -> None:
    headers = acting(
        "jane",
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-Example.com%2fScopes", "view"),
        ("Impersonate-Extra-Example.com%2fScopes", "edit"),
        ("Impersonate-Extra-Plain", "x"),
    )
    grants: list[tuple[str, str, dict[str, Any]]] = [
        ("", "users", {"names": ("jane",)}),
        (GROUP, "uids", {"names": ("7",)}),
        ("", "groups", {"names": ("dev", "ops")}),
        (GROUP, "userextras/example.com/scopes", {"names": ("view", "edit")}),
        (GROUP, "userextras/plain", {}),
    ]
    for group, resources, more in grants:
        assert "impersonate" in await actor.whoami(headers)
        await actor.may("impersonate", resources, group=group, **more)
    assert await actor.whoami(headers) == {
        "username": "jane",
        "uid": "7",
        "groups": ["dev", "ops", "system:authenticated"],
        "extra": {"example.com/scopes": ["view", "edit"], "plain": ["x"]},
    }
    assert "impersonate" in await actor.whoami([*headers, ("Impersonate-Group", "system:masters")])
    assert "impersonate" in await actor.whoami([*headers, ("Impersonate-Extra-Plain2", "x")])


async def test_the_refusal_names_what_was_asked_for(actor: Actor) -> None:
    answer = await actor.get("/api/v1/namespaces/default/pods", acting("jane"))
    assert answer.status_code == 403
    assert answer.json()["message"] == (
        f'pods is forbidden: User "{actor.name}" cannot impersonate-on:user-info:list resource "pods" in API group ""'
        ' in the namespace "default"'
    )


async def test_groups_alone_name_nobody(actor: Actor) -> None:
    await actor.may("impersonate", "users groups")
    for name, value in (("Group", "dev"), ("Uid", "7"), ("Extra-scopes", "view")):
        answer = await actor.get("/api", [(f"Impersonate-{name}", value)])
        assert answer.status_code == 400
        assert "without impersonating a user" in answer.json()["message"]


async def test_groups_that_come_by_themselves(actor: Actor) -> None:
    await actor.may("impersonate", "users groups serviceaccounts")
    account = "system:serviceaccount:default:robot"
    groups = {
        "jane": ["system:authenticated"],
        account: ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
        "system:serviceaccount:Not_A:name": ["system:authenticated"],
    }
    for name, expected in groups.items():
        assert (await actor.whoami(acting(name)))["groups"] == expected
    given = acting(account, ("Impersonate-Group", "dev"))
    assert (await actor.whoami(given))["groups"] == ["dev", "system:authenticated"]
    stranger = acting("jane", ("Impersonate-Group", "system:unauthenticated"))
    assert "cannot" in await actor.whoami(stranger)  # nobody may review themselves without having been authenticated
    assert (await actor.get("/livez", acting("system:anonymous"))).status_code == 200


async def test_a_service_account_is_asked_for_as_one(actor: Actor) -> None:
    await actor.may("impersonate", "users")
    account = acting("system:serviceaccount:default:robot")
    assert "impersonate" in await actor.whoami(account)
    await actor.may("impersonate", "serviceaccounts", names=("robot",))
    assert (await actor.whoami(account))["username"] == "system:serviceaccount:default:robot"
    assert "impersonate" in await actor.whoami(acting("system:serviceaccount:default:other"))


async def test_masters_only_for_those_who_may_take_on_the_group(actor: Actor) -> None:
    await actor.may("impersonate", "users")
    masters = acting("jane", ("Impersonate-Group", "system:masters"))
    assert (await actor.get("/api/v1/nodes", masters)).status_code == 403
    await actor.may("impersonate", "groups", names=("system:masters",))
    assert (await actor.get("/api/v1/nodes", masters)).status_code == 200


async def test_constrained_impersonation_allows_one_deed_only(actor: Actor) -> None:
    await actor.may("impersonate:user-info", "users", group=GROUP, names=("kubernetes-admin-2",))
    await actor.may("impersonate:user-info", "groups", group=GROUP, names=("system:masters", "viewers"))
    await actor.may("impersonate-on:user-info:list", "pods")
    headers = acting("kubernetes-admin-2", ("Impersonate-Group", "viewers"))
    listed = await actor.get("/api/v1/pods", headers)
    assert listed.status_code == 403
    assert 'User "kubernetes-admin-2" cannot list resource "pods"' in listed.json()["message"]
    subject = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "viewers"}
    reference = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "view"}
    body = {"metadata": {"name": "viewers"}, "roleRef": reference, "subjects": [subject]}
    await actor.admin.post(f"{RBAC}/clusterrolebindings", json=body)
    assert (await actor.get("/api/v1/pods", headers)).status_code == 200
    services = await actor.get("/api/v1/services", headers)
    assert services.status_code == 403
    assert "impersonate-on:user-info:list" in services.json()["message"]
    masters = acting("kubernetes-admin-2", ("Impersonate-Group", "system:masters"))
    refused = await actor.get("/api/v1/pods", masters)
    assert refused.status_code == 403
    assert "impersonating the system:masters group is not allowed" in refused.json()["message"]


async def test_constrained_impersonation_of_accounts_and_nodes(actor: Actor) -> None:
    account, node = acting("system:serviceaccount:default:robot"), acting("system:node:n1")
    await actor.may("impersonate:serviceaccount", "serviceaccounts", group=GROUP, names=("robot",))
    await actor.may("impersonate-on:serviceaccount:create", "selfsubjectreviews", group=GROUP)
    assert (await actor.whoami(account))["groups"][0] == "system:serviceaccounts"
    assert "impersonate" in await actor.whoami(node)
    await actor.may("impersonate:arbitrary-node", "nodes", group=GROUP, names=("n1",))
    await actor.may("impersonate-on:arbitrary-node:create", "selfsubjectreviews", group=GROUP)
    assert (await actor.whoami(node))["groups"] == ["system:nodes", "system:authenticated"]
    assert "impersonate" in await actor.whoami(acting("system:node:n2"))
    assert "impersonate" in await actor.whoami([*node, ("Impersonate-Group", "dev")])


async def test_kubectl_acts_as_somebody(server: RunningServer) -> None:
    kubectl = Kubectl(server)
    shown = await kubectl(
        "auth",
        "whoami",
        "--as=jane",
        "--as-group=dev",
        "--as-group=ops",
        "--as-uid=7",
        "--as-user-extra=example.com/scopes=view",
        "-o",
        "jsonpath={.status.userInfo}",
    )
    assert shown.out == (
        '{"extra":{"example.com/scopes":["view"]},"groups":["dev","ops","system:authenticated"],"uid":"7",'
        '"username":"jane"}'
    )
    refused = await kubectl("get", "pods", "--as=jane")
    assert 'User "jane" cannot list resource "pods"' in refused.err
    assert (await kubectl("auth", "can-i", "list", "pods", "--as=jane")).out == "no"
