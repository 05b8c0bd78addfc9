"""A small operator on kopf: each Greeter gets a ConfigMap of its own, and tells in its status what it greets with."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config

GREETERS = ("greeters.example.com", "v1", "greeters")


@kopf.on.startup()
def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Quiet: no Events, state in annotations."""
    config.load_kube_config()
    settings.posting.enabled = False
    settings.persistence.finalizer = "greeters.example.com/finalizer"


@kopf.on.create(*GREETERS)
def created(spec: kopf.Spec, name: str, namespace: str, **_: Any) -> dict[str, str]:
    """Make the ConfigMap; the result lands in the status."""
    child = {"metadata": {"name": f"{name}-greeting"}, "data": {"text": spec["text"]}}
    kopf.adopt(child)
    client.CoreV1Api().create_namespaced_config_map(namespace, child)
    return {"greeting": spec["text"]}


@kopf.on.field(*GREETERS, field="spec.text")
def changed(old: str | None, new: str, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    """Follow the text."""
    if old is None:
        return
    client.CoreV1Api().patch_namespaced_config_map(f"{name}-greeting", namespace, {"data": {"text": new}})
    patch.status["greeting"] = new


@kopf.on.delete(*GREETERS)
def deleted(name: str, namespace: str, **_: Any) -> None:
    """Leave a farewell behind, which shows that the finalizer held the object until now."""
    body = {"metadata": {"name": f"{name}-farewell"}}
    client.CoreV1Api().create_namespaced_config_map(namespace, body)
