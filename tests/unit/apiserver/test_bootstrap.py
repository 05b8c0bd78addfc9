from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from k8slite.apiserver.authn.base import ANONYMOUS, User
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.authz.rbac import RBAC, CacheSource
from k8slite.apiserver.bootstrap import bootstrap, withdraw
from k8slite.apiserver.storage.base import StoreUnavailable
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.catalogue import builtin
from k8slite.clock import SystemClock
from k8slite.config import ApiServerConfig, StoreConfig
from k8slite.pki import Authority, ensure_signing_key
from k8slite.schema import Schemas


@pytest.fixture
def config(tmp_path: Path) -> ApiServerConfig:
    authority = Authority.ensure(tmp_path)
    pair = authority.issue_server("server", common_name="s", hosts=["127.0.0.1"])
    return ApiServerConfig(
        advertise_address="10.42.0.1",
        cert_file=pair.cert_file,
        key_file=pair.key_file,
        client_ca_file=authority.cert_file,
        service_account_key_file=ensure_signing_key(tmp_path / "sa.key"),
    )


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    opened = MemoryStore()
    await opened.open()
    yield opened
    await opened.close()


async def read(store: MemoryStore, key: str) -> Any:
    record = await store.get(key)
    return orjson.loads(record.value) if record else None


async def change(store: MemoryStore, key: str, document: dict[str, Any]) -> None:
    record = await store.get(key)
    assert record
    document["metadata"] = {"resourceVersion": ""} | document["metadata"] | {"resourceVersion": ""}
    await store.update(key, orjson.dumps(document), expected=record.revision)


ROLE = "/rbac.authorization.k8s.io/clusterroles/"
BINDING = "/rbac.authorization.k8s.io/clusterrolebindings/"


async def test_a_second_start_changes_nothing(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    revision = await store.revision()
    await bootstrap(store, config=config, clock=SystemClock())
    assert await store.revision() == revision


async def test_everything_fits_its_schema(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    catalogue, schemas = builtin(), Schemas()
    for record in (await store.range("/")).records:
        document = orjson.loads(record.value)
        group, _, version = document["apiVersion"].rpartition("/")
        resource = catalogue.by_kind(group, version, document["kind"])
        assert resource, record.key
        parts = [group or "core", resource.plural, document["metadata"].get("namespace"), document["metadata"]["name"]]
        assert record.key == "/" + "/".join(filter(None, parts))
        assert document["metadata"]["resourceVersion"] == str(record.revision)
        assert document["metadata"]["uid"]
        checked = schemas.check(document, group=group, version=version, kind=document["kind"], strictness="Strict")
        assert not checked.causes, (record.key, checked.causes)


async def test_what_is_missing_comes_back_and_what_users_added_stays(
    store: MemoryStore, config: ApiServerConfig
) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    extra = {"verbs": ["get"], "apiGroups": ["example.org"], "resources": ["things"]}
    role = await read(store, ROLE + "system:kube-scheduler")
    whole = role["rules"]
    await change(store, ROLE + "system:kube-scheduler", role | {"rules": [*whole[1:], extra]})
    binding = await read(store, BINDING + "system:discovery")
    mine = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}
    await change(store, BINDING + "system:discovery", binding | {"subjects": [mine]})
    await bootstrap(store, config=config, clock=SystemClock())
    rules = (await read(store, ROLE + "system:kube-scheduler"))["rules"]
    assert extra in rules
    assert all(rule in rules for rule in whole)
    assert (await read(store, BINDING + "system:discovery"))["subjects"] == [mine, *binding["subjects"]]


async def test_without_autoupdate_a_role_is_left_alone(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    role = await read(store, ROLE + "view")
    role["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
    role["rules"] = []
    await change(store, ROLE + "view", role)
    await bootstrap(store, config=config, clock=SystemClock())
    assert (await read(store, ROLE + "view"))["rules"] == []


async def test_a_role_that_lost_its_annotation_is_repaired(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    role = await read(store, ROLE + "view")
    await change(store, ROLE + "view", {"kind": "ClusterRole", "metadata": {"name": "view"}, "rules": []})
    await bootstrap(store, config=config, clock=SystemClock())
    mended = await read(store, ROLE + "view")
    assert mended["aggregationRule"] == role["aggregationRule"]
    assert mended["metadata"]["annotations"] == role["metadata"]["annotations"]


async def test_own_service(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock(), port=6444)
    service = await read(store, "/core/services/default/kubernetes")
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    endpoint_slice = await read(store, "/discovery.k8s.io/endpointslices/default/kubernetes")
    assert endpoint_slice["endpoints"][0]["addresses"] == ["10.42.0.1"]
    assert endpoint_slice["ports"][0]["port"] == 6444
    moved = config.model_copy(update={"advertise_address": "10.42.0.9"})
    await bootstrap(store, config=moved, clock=SystemClock(), port=6444)
    endpoints = await read(store, "/core/endpoints/default/kubernetes")
    assert endpoints["subsets"][0]["addresses"] == [{"ip": "10.42.0.9"}]


async def test_servers_that_share_a_store_stand_beside_each_other(store: MemoryStore, config: ApiServerConfig) -> None:
    def at(address: str) -> ApiServerConfig:
        return config.model_copy(update={"advertise_address": address, "store": StoreConfig(engine="etcd")})

    for address in ("10.0.0.2", "10.0.0.1"):
        await bootstrap(store, config=at(address), clock=SystemClock())
    endpoints = await read(store, "/core/endpoints/default/kubernetes")
    assert endpoints["subsets"][0]["addresses"] == [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]
    await withdraw(store, config=at("10.0.0.1"))
    endpoint_slice = await read(store, "/discovery.k8s.io/endpointslices/default/kubernetes")
    assert [endpoint["addresses"] for endpoint in endpoint_slice["endpoints"]] == [["10.0.0.2"]]


@pytest.mark.parametrize(
    ("user", "verb", "resource", "namespace", "expected"),
    [
        ("User:system:kube-scheduler", "create", "/pods/binding", "default", True),
        ("User:system:kube-scheduler", "get", "/secrets", "default", False),
        ("User:system:kube-controller-manager", "create", "apps/replicasets", "default", True),
        ("User:system:kube-controller-manager", "delete", "example.org/things", "default", True),
        ("User:system:kube-controller-manager", "create", "rbac.authorization.k8s.io/clusterroles", "", False),
        ("User:system:kube-proxy", "watch", "discovery.k8s.io/endpointslices", "", True),
        ("User:system:kube-proxy", "create", "/services", "kube-system", True),
        ("User:system:kube-proxy", "create", "/services", "default", False),
        ("User:system:kube-proxy", "create", "/events", "default", True),
        ("Group:k8slite:simulators", "patch", "/nodes/status", "", True),
        ("Group:k8slite:simulators", "patch", "coordination.k8s.io/leases", "kube-node-lease", True),
        ("Group:k8slite:simulators", "patch", "coordination.k8s.io/leases", "kube-system", False),
        ("Group:k8slite:simulators", "list", "/secrets", "default", False),
        ("Group:system:authenticated", "create", "authorization.k8s.io/selfsubjectaccessreviews", "", True),
        ("Group:system:authenticated", "get", "/pods", "default", False),
        ("Group:system:masters", "escalate", "rbac.authorization.k8s.io/clusterroles", "", True),
    ],
)
async def test_what_the_identities_may(
    store: MemoryStore, config: ApiServerConfig, user: str, verb: str, resource: str, namespace: str, expected: bool
) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    cache = WatchCache()
    await cache.start(store)
    kind, _, name = user.partition(":")
    who = User(name) if kind == "User" else User("someone", groups=(name,))
    group, plural, *rest = resource.split("/")
    attributes = Attributes(
        who, verb, group=group, resource=plural, subresource="".join(rest), namespace=namespace, name="x"
    )
    decision, _ = await RBAC(CacheSource(cache)).authorize(attributes)
    await cache.stop()
    assert (decision is Decision.ALLOW) is expected


async def test_anonymous_users_see_health_and_version_only(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    cache = WatchCache()
    await cache.start(store)
    rbac = RBAC(CacheSource(cache))
    answers = {
        path: (await rbac.authorize(Attributes(ANONYMOUS, "get", path=path)))[0] is Decision.ALLOW
        for path in ("/healthz", "/livez", "/readyz", "/version", "/metrics", "/apis", "/healthz/etcd")
    }
    await cache.stop()
    assert answers == {
        "/healthz": True,
        "/livez": True,
        "/readyz": True,
        "/version": True,
        "/metrics": False,
        "/apis": False,
        "/healthz/etcd": False,
    }


async def test_a_store_that_is_away_does_not_hold_up_the_end(
    store: MemoryStore, config: ApiServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(key: str) -> None:
        raise StoreUnavailable("no leader")

    monkeypatch.setattr(store, "get", away)
    shared = config.model_copy(update={"store": StoreConfig(engine="etcd", endpoints=["https://127.0.0.1:1"])})
    await withdraw(store, config=shared)


CLASS = "/storage.k8s.io/storageclasses/local"


async def test_a_new_cluster_has_a_default_class_and_nobody_who_deletes_it_is_contradicted(
    store: MemoryStore, config: ApiServerConfig
) -> None:
    wanting = config.model_copy(update={"local_storage_class": True})
    await bootstrap(store, config=wanting, clock=SystemClock())
    found = await read(store, CLASS)
    assert found["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    record = await store.get(CLASS)
    assert record
    await store.delete(CLASS, expected=record.revision)
    await bootstrap(store, config=wanting, clock=SystemClock())
    assert await read(store, CLASS) is None


async def test_a_first_start_that_was_cut_off_makes_the_class_all_the_same(
    store: MemoryStore, config: ApiServerConfig
) -> None:
    """The namespaces tell that a cluster is not new; whoever was killed before they were there begins anew."""
    wanting = config.model_copy(update={"local_storage_class": True})
    await store.create(CLASS, orjson.dumps({"metadata": {"resourceVersion": "", "name": "local"}}))
    await bootstrap(store, config=wanting, clock=SystemClock())
    assert (await read(store, CLASS))["metadata"]["name"] == "local"
    assert await read(store, "/core/namespaces/kube-system")


async def test_a_cluster_that_was_there_before_gets_no_class(store: MemoryStore, config: ApiServerConfig) -> None:
    await bootstrap(store, config=config, clock=SystemClock())
    await bootstrap(store, config=config.model_copy(update={"local_storage_class": True}), clock=SystemClock())
    assert await read(store, CLASS) is None
