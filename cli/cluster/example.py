"""The example application: its image, made on this machine from files, and its manifests."""

from __future__ import annotations

from importlib import resources

from k8slite.testing import images

from ..api import Api
from ..failure import Failure
from ..manifests import read_text
from ..verbs.apply import apply_all
from . import machine
from .progress import step
from .spec import ClusterSpec
from .up import wait_for

IMAGE = "k8slite/example:1"
NODE_PORT = 30080


def deploy(spec: ClusterSpec, *, install: bool) -> str:
    """Deploy the application and wait until it serves; returns its address."""
    if not spec.nodes:
        raise Failure("the example application needs real nodes; this cluster's are simulated")
    with step("Example application: image"):
        _make_image(spec, install=install)
    with step("Example application: front end and back end"):
        with Api(spec.kubeconfig, namespace="default") as api:
            apply_all(api, read_text(manifests(), source="the example"))
        wait_for(spec, _deployed, "the example application")
    return f"http://127.0.0.1:{NODE_PORT}"


def manifests() -> str:
    """The example's manifests, as shipped."""
    return (resources.files("k8slite") / "examples" / "web.yaml").read_text()


def _make_image(spec: ClusterSpec, *, install: bool) -> None:
    try:
        images.load_busybox(IMAGE, docker_host=spec.docker_host)
    except images.NoBusybox as error:
        if not install:
            raise Failure(f"the example application needs a static busybox: {error}, or `up --install`") from error
        machine.install(["busybox-static"])
        images.load_busybox(IMAGE, docker_host=spec.docker_host)


def _deployed(api: Api) -> str | None:
    for name in ("front", "back"):
        deployment = api.call("GET", f"/apis/apps/v1/namespaces/default/deployments/{name}")
        wanted, available = deployment["spec"]["replicas"], deployment.get("status", {}).get("availableReplicas", 0)
        if available < wanted:
            return f"{available} of {wanted} replicas of {name} are available"
    return None
