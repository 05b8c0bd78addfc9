"""Random storage for Hypothesis: few names and few values, so that claims, volumes and nodes meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .storing import (
    Document,
    World,
    attachment,
    capacity,
    claim,
    claims_as_volumes,
    csi_node,
    driver,
    storage_class,
    volume,
)

NODES = ("n0", "n1", "n2", "n3")
CLAIMS = ("c0", "c1", "c2", "pending-own")
VOLUMES = tuple(f"v{number}" for number in range(6))
CLASSES = ("local", "made", "now", "old")
SIZES = ("1Gi", "2Gi", "3Gi", "10Gi")
MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
ZONE, BETA = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"
REGION, BETA_REGION = "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"
CSI_ZONE = "topology.ebs.csi.aws.com/zone"
ZONES = ("a", "b")
BLOCK, FAST = {"volumeMode": "Block"}, {"volumeAttributesClassName": "fast"}
OTHERS = ["ReadWriteOnce", "ReadOnlyMany"]

sometimes = st.sampled_from([False, False, False, False, False, True])
CLASS_OF = {"local": st.just("local"), "made": st.just("made")}
delayed = st.sampled_from(["local", "made", "local", "made", "local", "made", "old"])
_labels = st.fixed_dictionaries(
    {},
    optional={key: st.sampled_from(ZONES) for key in (ZONE, BETA, CSI_ZONE)} | {REGION: st.sampled_from(["r", "s"])},
)
_expressions = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from([ZONE, BETA, "kubernetes.io/hostname"]),
            "operator": st.sampled_from(["In", "In", "NotIn"]),
            "values": st.lists(st.sampled_from([*ZONES, *NODES]), unique=True, min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from([ZONE, BETA_REGION, "nowhere"]),
            "operator": st.sampled_from(["Exists", "DoesNotExist"]),
            "values": st.just([]),
        }
    ),
)
terms = st.lists(
    st.fixed_dictionaries(
        {"matchExpressions": st.lists(_expressions, max_size=2)},
        optional={
            "matchFields": st.just([{"key": "metadata.name", "operator": "In", "values": ["n0"]}]),
        },
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def nodes(draw: DrawFn, name: str) -> Document:
    labels = draw(_labels)
    if draw(st.booleans()):
        labels["kubernetes.io/hostname"] = name
    return {"metadata": {"name": name, "uid": name, "labels": labels}, "status": {"allocatable": {"pods": "9"}}}


@st.composite
def claims(draw: DrawFn, name: str, *, focus: str = "") -> Document:
    more: Document = draw(
        st.sampled_from([{}] * 7 + [BLOCK, FAST, {"selector": {"matchLabels": {"rack": "1"}}}, {"accessModes": OTHERS}])
    )
    usual = ["bound"] * 20 if focus == "bound" else ["unbound"] * 20
    odd = draw(st.sampled_from([*usual, "bound", "bound", "half bound", "lost", "leaving", "foreign", "now"]))
    bound_to = draw(st.sampled_from([*VOLUMES, "gone"])) if odd in ("bound", "half bound", "lost") else ""
    return claim(
        name,
        size=draw(st.sampled_from(["1Gi", "2Gi", "2Gi", None, "3Gi", "10Gi"])),
        storage_class=draw(st.sampled_from(["now", None]) if odd == "now" else CLASS_OF.get(focus, delayed)),
        modes=draw(st.sampled_from([("ReadWriteOnce",)] * 3 + [("ReadWriteMany",), ("ReadWriteOncePod",)])),
        volume=bound_to,
        bound=odd == "bound",
        selected=draw(st.sampled_from([""] * 20 + [*NODES, "elsewhere"])) if not bound_to else "",
        phase="Lost" if odd == "lost" else "",
        owner="pending" if name == "pending-own" and odd != "foreign" else "",
        deleting=odd == "leaving",
        **more,
    )


_SOURCES: tuple[Document, ...] = (
    {"csi": {"driver": "csi", "volumeHandle": "h1"}},
    {"csi": {"driver": "csi", "volumeHandle": "h2"}},
    {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}},
    {"awsElasticBlockStore": {"volumeID": "aws://a/vol-1"}},
    {"awsElasticBlockStore": {"volumeID": "vol-2"}},
    {"cinder": {"volumeID": "c-1"}},
    {"hostPath": {"path": "/data"}},
)


@st.composite
def volumes(draw: DrawFn, name: str, *, focus: str = "") -> Document:
    more: Document = draw(st.sampled_from(_SOURCES)) | draw(st.sampled_from([{}] * 7 + [BLOCK, FAST]))
    labels = {"rack": draw(st.sampled_from(["1", "2"]))}
    for key in (ZONE, BETA, REGION, BETA_REGION):
        if draw(st.booleans() if focus == "bound" else sometimes):
            labels[key] = draw(st.sampled_from(["a", "b", "a__b", "a__", " b ", ""]))
    kept_for = draw(st.sampled_from([""] * 12 + list(CLAIMS)))
    reach = draw(st.sampled_from(["", *NODES, "terms", "terms"]))
    return volume(
        name,
        size=draw(st.sampled_from(["10Gi", "3Gi", "2Gi", "2Gi", "1Gi"])),
        storage_class=draw(st.sampled_from(["", "now"]) if draw(sometimes) else CLASS_OF.get(focus, delayed)),
        modes=draw(st.sampled_from([MODES, MODES[:2], MODES[:1], MODES, MODES[1:]])),
        terms=draw(terms) if reach == "terms" else None,
        on=reach if reach in NODES else "",
        kept_for=kept_for,
        uid=draw(st.sampled_from(["", f"uid-{kept_for}", "uid-other"])) if kept_for else "",
        phase=draw(st.sampled_from(["Available"] * 5 + ["Bound", "Released"])),
        labels=labels,
        deleting=draw(st.integers(0, 12)) == 12,
        **more,
    )


@st.composite
def classes(draw: DrawFn) -> list[Document]:
    allowed = st.lists(
        st.one_of(
            st.fixed_dictionaries({"key": st.sampled_from([ZONE, REGION]), "values": st.just(["a", "r"])}),
            st.just({"matchLabelExpressions": []}),
        ),
        max_size=2,
    )
    found = [
        storage_class("local"),
        storage_class("made", provisioner="csi", allowed=draw(st.one_of(st.none(), allowed))),
        storage_class("now", delayed=False, provisioner="csi"),
        storage_class("old", provisioner="kubernetes.io/aws-ebs"),
    ]
    missing = draw(st.sampled_from([*"--------------", *CLASSES]))
    return [each for each in found if each["metadata"]["name"] != missing]


@st.composite
def said_by_drivers(draw: DrawFn) -> list[Document]:
    found = [
        driver(name, capacity=draw(st.booleans()), insists=draw(sometimes))
        for name in draw(st.sets(st.sampled_from(["csi", "ebs.csi.aws.com", "cinder.csi.openstack.org"]), min_size=1))
    ]
    count = st.sampled_from([1, 2, None, 0, 1, 3])
    for name in draw(st.sets(st.sampled_from(NODES), min_size=2)):
        names = st.sampled_from(["csi", "ebs_csi_aws_com", "cinder_csi_openstack_org"])
        limits = draw(st.dictionaries(names, count, min_size=1))
        migrated = ("kubernetes.io/aws-ebs", "kubernetes.io/cinder")[: draw(st.integers(0, 2))]
        found.append(csi_node(name, migrated=migrated, **limits))
    for index in range(draw(st.integers(2, 5))):
        found.append(
            capacity(
                f"room-{index}",
                storage_class=draw(st.sampled_from(["made", "made", "local"])),
                total=draw(st.sampled_from([*SIZES, None])),
                largest=draw(st.sampled_from([None, None, *SIZES])),
                labels=draw(st.sampled_from([{}, {ZONE: "a"}, {ZONE: "b"}, {ZONE: "a", REGION: "r"}, None])),
            )
        )
    for index in range(draw(st.integers(0, 4))):
        node, on = draw(st.sampled_from(NODES)), draw(st.sampled_from([*VOLUMES, "gone"]))
        attacher = draw(st.sampled_from(["csi", "csi", "ebs.csi.aws.com", ""]))
        found.append(attachment(f"attached-{index}", node=node, volume=on, attacher=attacher))
    return found


_inline = st.one_of(
    st.fixed_dictionaries(
        {"gcePersistentDisk": st.fixed_dictionaries({"pdName": st.just("g")}, optional={"readOnly": st.booleans()})}
    ),
    st.fixed_dictionaries(
        {
            "awsElasticBlockStore": st.fixed_dictionaries(
                {"volumeID": st.sampled_from(["vol-1", "vol-2"])}, optional={"readOnly": st.booleans()}
            )
        }
    ),
    st.fixed_dictionaries(
        {"iscsi": st.fixed_dictionaries({"iqn": st.just("i")}, optional={"readOnly": st.booleans()})}
    ),
    st.fixed_dictionaries(
        {
            "rbd": st.fixed_dictionaries(
                {"monitors": st.lists(st.sampled_from(["m1", "m2"]), min_size=1), "image": st.just("r")},
                optional={"readOnly": st.booleans(), "pool": st.sampled_from(["rbd", "other"])},
            )
        }
    ),
    st.just({"projected": {"sources": []}}),
    st.just({"emptyDir": {}}),
)


@st.composite
def pods(draw: DrawFn, name: str = "pending", *, node: str = "", inline: bool = True) -> Document:
    names = st.sampled_from([*CLAIMS[:3]] * 6 + ["pending-own", "missing"])
    found = claims_as_volumes(*draw(st.lists(names, min_size=0 if inline else 1, max_size=3)))
    if name == "pending" and draw(sometimes):
        found += claims_as_volumes("=own")
    if inline:
        found += [{"name": f"i{index}", **source} for index, source in enumerate(draw(st.lists(_inline, max_size=2)))]
    spec: Document = {"containers": [{"name": "c"}], "volumes": draw(st.permutations(found))}
    if node:
        spec["nodeName"] = node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": spec,
    }


@st.composite
def worlds(draw: DrawFn, *, placed: int = 4, focus: str = "") -> World:
    """A cluster with up to `placed` pods; claims are mostly of one class, or bound, if the `focus` is on that."""
    names = draw(st.permutations(NODES))[: draw(st.integers(2, len(NODES)))]
    on: SearchStrategy[str] = st.sampled_from((*names, "elsewhere"))
    parts: list[Document] = draw(classes())
    parts += [draw(volumes(name, focus=focus)) for name in VOLUMES[: draw(st.integers(2, len(VOLUMES)))]]
    missing = draw(st.sampled_from([*"------------", *CLAIMS]))
    parts += [draw(claims(name, focus=focus)) for name in CLAIMS if name != missing]
    parts += draw(said_by_drivers())
    others: list[Any] = [draw(pods(f"placed-{index}", node=draw(on))) for index in range(draw(st.integers(0, placed)))]
    return World([draw(nodes(name)) for name in names], others, parts)
