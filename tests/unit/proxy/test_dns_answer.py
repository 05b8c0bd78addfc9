import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.proxy.dns.answer import Answer, Question, answer
from k8slite.proxy.dns.records import domain_records, service_records
from k8slite.proxy.dns.zone import Record, Zone

from .objects import endpoint, piece, service

DOMAIN = "cluster.local"


def zone_of(*pairs: tuple) -> Zone:
    zone = Zone(DOMAIN, reverse=["10.42.0.0/16", "10.96.0.0/16"])
    zone.put("", domain_records(DOMAIN, server="10.96.0.10"))
    for each, *slices in pairs:
        zone.put(each.key, service_records(each, slices, domain=DOMAIN))
    return zone


HEADLESS = service("db", "None", ports=[{"name": "sql", "port": 5432}])
HEADLESS_SLICE = piece(
    endpoint("10.42.1.2", hostname="db-0"),
    endpoint("10.42.1.3"),
    endpoint("10.42.1.4", ready=False),
    name="db",
    ports=[{"name": "sql", "port": 5432}],
)
ZONE = zone_of(
    (service(),),
    (HEADLESS, HEADLESS_SLICE),
    (service("empty", "None"),),
    (service("out", "", type="ExternalName", externalName="example.com"),),
    (service("alias", "", type="ExternalName", externalName="web.default.svc.cluster.local"),),
    (service("nowhere", "", type="ExternalName", externalName="gone.default.svc.cluster.local"),),
    (service("loop", "", type="ExternalName", externalName="loop.default.svc.cluster.local"),),
)


def ask(name: str, kind: str = "A", zone: Zone = ZONE) -> Answer:
    return answer(Question(name, kind), zone)


def data(name: str, kind: str = "A") -> list[str]:
    return [record.data for record in ask(name, kind).records]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.default.svc.cluster.local", "A", ["10.96.0.20"]),
        ("_http._tcp.web.default.svc.cluster.local", "SRV", ["0 100 80 web.default.svc.cluster.local."]),
        ("20.0.96.10.in-addr.arpa", "PTR", ["web.default.svc.cluster.local."]),
        ("db.default.svc.cluster.local", "A", ["10.42.1.2", "10.42.1.3"]),
        ("db-0.db.default.svc.cluster.local", "A", ["10.42.1.2"]),
        ("10-42-1-3.db.default.svc.cluster.local", "A", ["10.42.1.3"]),
        ("2.1.42.10.in-addr.arpa", "PTR", ["db-0.db.default.svc.cluster.local."]),
        (
            "_sql._tcp.db.default.svc.cluster.local",
            "SRV",
            ["0 100 5432 10-42-1-3.db.default.svc.cluster.local.", "0 100 5432 db-0.db.default.svc.cluster.local."],
        ),
        ("10-42-0-5.default.pod.cluster.local", "A", ["10.42.0.5"]),
        ("fd00--5.default.pod.cluster.local", "AAAA", ["fd00::5"]),
        ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
        ("cluster.local", "NS", ["ns.dns.cluster.local."]),
        ("ns.dns.cluster.local", "A", ["10.96.0.10"]),
        ("out.default.svc.cluster.local", "CNAME", ["example.com."]),
        ("alias.default.svc.cluster.local", "A", ["web.default.svc.cluster.local.", "10.96.0.20"]),
    ],
)
def test_records_of_the_specification(name: str, kind: str, expected: list[str]):
    assert data(name, kind) == expected


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("web.default.svc.cluster.local", "AAAA", "NOERROR"),
        ("empty.default.svc.cluster.local", "A", "NOERROR"),
        ("default.svc.cluster.local", "A", "NOERROR"),
        ("svc.cluster.local", "A", "NOERROR"),
        ("_tcp.web.default.svc.cluster.local", "SRV", "NOERROR"),
        ("10-42-0-5.default.pod.cluster.local", "AAAA", "NOERROR"),
        ("cluster.local", "A", "NOERROR"),
        ("gone.default.svc.cluster.local", "A", "NXDOMAIN"),
        ("web.other.svc.cluster.local", "A", "NXDOMAIN"),
        ("example.com.default.svc.cluster.local", "A", "NXDOMAIN"),
        ("10-42-0-500.default.pod.cluster.local", "A", "NXDOMAIN"),
        ("10-42-1-4.db.default.svc.cluster.local", "A", "NXDOMAIN"),
        ("9.0.96.10.in-addr.arpa", "PTR", "NXDOMAIN"),
    ],
)
def test_absence_is_told_apart_and_carries_the_soa(name: str, kind: str, rcode: str):
    found = ask(name, kind)
    assert (found.rcode, found.records) == (rcode, ())
    assert [record.type for record in found.authority] == ["SOA"]


def test_chain_that_ends_nowhere_is_told_with_its_beginning():
    found = ask("nowhere.default.svc.cluster.local")
    assert found.rcode == "NXDOMAIN"
    assert [record.type for record in found.records] == ["CNAME"]


def test_chain_that_leaves_the_zone_names_where_to_go_on():
    found = ask("out.default.svc.cluster.local")
    assert found.elsewhere == "example.com"


def test_chain_in_circles_ends():
    assert ask("loop.default.svc.cluster.local").rcode == "NOERROR"


def test_srv_brings_the_addresses_along():
    found = ask("_sql._tcp.db.default.svc.cluster.local", "SRV")
    assert [record.data for record in found.additional] == ["10.42.1.3", "10.42.1.2"]


def test_zone_covers_itself_and_its_ranges():
    assert ZONE.covers("anything.cluster.local")
    assert ZONE.covers("1.0.96.10.in-addr.arpa")
    assert not ZONE.covers("1.2.0.192.in-addr.arpa")
    assert not ZONE.covers("example.com")
    assert not ZONE.covers("notcluster.local")


SERVICES = st.tuples(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "None", "10.96.0.7", "10.96.0.8"]), st.booleans()
)


@given(steps=st.lists(SERVICES, max_size=20))
def test_zone_after_any_changes_is_the_zone_of_what_is_left(steps: list[tuple[str, str, bool]]):
    zone = Zone(DOMAIN)
    latest: dict[str, frozenset[Record]] = {}
    for name, address, ready in steps:
        slices = [piece(endpoint("10.42.0.9", ready=ready), "10.42.0.8", name=name)]
        latest[name] = service_records(service(name, address), slices, domain=DOMAIN) if address else frozenset()
        zone.put(name, latest[name])
    fresh = Zone(DOMAIN)
    for name in sorted(latest):
        fresh.put(name, latest[name])
    assert zone._records == fresh._records
    assert zone._names == fresh._names


def test_generation_changes_only_with_the_records():
    zone = zone_of((service(),))
    before = zone.generation
    zone.put("default/web", service_records(service(), [], domain=DOMAIN))
    assert zone.generation == before
    zone.put("default/web", frozenset())
    assert zone.generation > before
