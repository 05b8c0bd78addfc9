"""`k8slite rollout`: status, history, undo, restart, pause and resume of Deployments.

Source: Kubernetes documentation, "Deployments": revisions live in the annotation `deployment.kubernetes.io/revision` of
a Deployment's ReplicaSets; going back means writing an old ReplicaSet's pod template into the Deployment.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from k8slite.clock import timestamp

from ..api import Api
from ..failure import Failure
from ..options import connects, duration
from ..printers import columns, whole
from ..targets import one

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
HASH = "pod-template-hash"
MERGE = "application/merge-patch+json"

what_argument = click.argument("what", nargs=-1, required=True)


@click.group()
def rollout() -> None:
    """Look after the rollout of a Deployment."""


@rollout.command()
@what_argument
@click.option("--timeout", type=duration, default="0", help="Give up after this long, as 30s or 5m; 0: never.")
@click.option("-w", "--watch/--no-watch", default=True, show_default=True, help="Wait until it is done.")
@connects
def status(api: Api, *, what: tuple[str, ...], timeout: float, watch: bool) -> None:
    """Follow a rollout until it is done."""
    path, name = _deployment(api, what)
    deadline = time.monotonic() + timeout if timeout else None
    last = ""
    while True:
        message, done = progress(name, api.call("GET", path))
        if message != last:
            click.echo(message)
            last = message
        if done or not watch:
            return
        if deadline and time.monotonic() > deadline:
            raise Failure("timed out waiting for the rollout")
        time.sleep(0.3)


def progress(name: str, deployment: dict[str, Any]) -> tuple[str, bool]:
    """How far a rollout is, in kubectl's words, and whether it is done. Raises Failure when it has failed."""
    spec, state = deployment["spec"], deployment.get("status", {})
    if state.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "Waiting for deployment spec update to be observed...", False
    for condition in state.get("conditions", []):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise Failure(f'deployment "{name}" exceeded its progress deadline')
    wanted, updated = spec.get("replicas", 1), state.get("updatedReplicas", 0)
    total, available = state.get("replicas", 0), state.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < wanted:
        return f"{waiting}{updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{waiting}{total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{waiting}{available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


@rollout.command()
@what_argument
@click.option("--revision", type=int, default=0, help="Show this revision's template.")
@connects
def history(api: Api, *, what: tuple[str, ...], revision: int) -> None:
    """List the revisions of a Deployment."""
    path, name = _deployment(api, what)
    revisions = _revisions(api, api.call("GET", path))
    if revision:
        if revision not in revisions:
            raise Failure(f"unable to find the specified revision {revision}")
        click.echo(whole.as_yaml(revisions[revision]["spec"]["template"]))
        return
    rows = [
        [str(number), (replica_set["metadata"].get("annotations") or {}).get(CAUSE, "<none>")]
        for number, replica_set in sorted(revisions.items())
    ]
    click.echo(f"deployment.apps/{name}\n" + columns.render(["REVISION", "CHANGE-CAUSE"], rows))


@rollout.command()
@what_argument
@click.option("--to-revision", type=int, default=0, help="The revision to go back to; 0: the one before.")
@connects
def undo(api: Api, *, what: tuple[str, ...], to_revision: int) -> None:
    """Go back to an earlier revision."""
    path, name = _deployment(api, what)
    deployment = api.call("GET", path)
    if deployment["spec"].get("paused"):
        raise Failure(
            f"cannot roll back a paused deployment; resume it first with `k8slite rollout resume deployment/{name}`"
        )
    revisions = _revisions(api, deployment)
    current = int(deployment["metadata"].get("annotations", {}).get(REVISION, 0))
    goal = to_revision or max((number for number in revisions if number < current), default=0)
    if goal not in revisions:
        raise Failure(
            f"no rollout history found for deployment {name!r}"
            if not to_revision
            else f"unable to find specified revision {goal} in history"
        )
    template = revisions[goal]["spec"]["template"]
    template["metadata"].get("labels", {}).pop(HASH, None)
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    api.call("PATCH", path, body=patch, content_type="application/json-patch+json")
    click.echo(f"deployment.apps/{name} rolled back")


@rollout.command()
@what_argument
@connects
def restart(api: Api, *, what: tuple[str, ...]) -> None:
    """Replace every pod, by the rules of a rolling update."""
    path, name = _deployment(api, what)
    stamp = {"kubectl.kubernetes.io/restartedAt": timestamp(datetime.now(UTC))}
    body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    api.call("PATCH", path, body=body, content_type=MERGE)
    click.echo(f"deployment.apps/{name} restarted")


@rollout.command()
@what_argument
@connects
def pause(api: Api, *, what: tuple[str, ...]) -> None:
    """Hold a rollout where it is."""
    _set_paused(api, what, paused=True)


@rollout.command()
@what_argument
@connects
def resume(api: Api, *, what: tuple[str, ...]) -> None:
    """Go on with a held rollout."""
    _set_paused(api, what, paused=False)


def _set_paused(api: Api, what: tuple[str, ...], *, paused: bool) -> None:
    path, name = _deployment(api, what)
    api.call("PATCH", path, body={"spec": {"paused": paused or None}}, content_type=MERGE)
    click.echo(f"deployment.apps/{name} {'paused' if paused else 'resumed'}")


def _deployment(api: Api, what: tuple[str, ...]) -> tuple[str, str]:
    resource, name = one(api, what)
    if resource.plural != "deployments":
        raise Failure(f'rollouts of "{resource.qualified}" are not supported yet; name a deployment')
    return api.path(resource, name), name


def _revisions(api: Api, deployment: dict[str, Any]) -> dict[int, dict[str, Any]]:
    uid = deployment["metadata"]["uid"]
    replica_sets = api.call("GET", api.path(api.resource("replicasets")))["items"]
    owned = [r for r in replica_sets if any(o["uid"] == uid for o in r["metadata"].get("ownerReferences") or ())]
    return {int((r["metadata"].get("annotations") or {}).get(REVISION, 0)): r for r in owned}
