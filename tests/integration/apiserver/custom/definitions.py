"""Definitions of custom resources for tests, and what tests do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
Document = dict[str, Any]
_PATIENCE = 10.0


def version(name: str = "v1", *, schema: Document | None = None, storage: bool = True, **more: Any) -> Document:
    """One version, served; its schema keeps everything unless said otherwise."""
    whole = schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": whole}, **more}


def definition(
    plural: str, group: str, *versions: Document, kind: str = "", scope: str = "Namespaced", **spec: Any
) -> Document:
    """A whole definition; the kind is the plural without its last letter, capitalized."""
    names = {"plural": plural, "kind": kind or plural[:-1].capitalize(), **spec.pop("names", {})}
    return {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": f"{plural}.{group}", **spec.pop("metadata", {})},
        "spec": {"group": group, "scope": scope, "names": names, "versions": list(versions) or [version()], **spec},
    }


def custom(api_version: str, kind: str, name: str, **members: Any) -> Document:
    """A custom object."""
    return {"kind": kind, "apiVersion": api_version, "metadata": {"name": name}, **members}


async def until(probe: Callable[[], Awaitable[Any]], what: str) -> Any:
    """What a probe finds when it first finds something."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            if found := await probe():
                return found
            await asyncio.sleep(0.02)
    raise AssertionError(what)


def condition(document: Document, name: str) -> Document:
    """A condition, empty if there is none."""
    conditions = (document.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == name), {})


async def wait_for(http: httpx.AsyncClient, name: str, kind: str = "Established", status: str = "True") -> Document:
    """A definition, once a condition has a status."""

    async def probe() -> Document | None:
        answer = await http.get(f"{CRDS}/{name}")
        found = answer.json()
        return found if answer.status_code == 200 and condition(found, kind).get("status") == status else None

    found: Document = await until(probe, f"{name} is not {kind}={status}")
    return found


async def establish(http: httpx.AsyncClient, document: Document) -> Document:
    """Create a definition and wait until it is established."""
    answer = await http.post(CRDS, json=document)
    assert answer.status_code == 201, answer.text
    return await wait_for(http, document["metadata"]["name"])


async def change(http: httpx.AsyncClient, name: str, edit: Callable[[Document], None]) -> Document:
    """Read a definition, edit it and write it back."""
    document: Document = (await http.get(f"{CRDS}/{name}")).json()
    edit(document)
    answer = await http.put(f"{CRDS}/{name}", json=document)
    assert answer.status_code == 200, answer.text
    changed: Document = answer.json()
    return changed


async def remove(http: httpx.AsyncClient, name: str) -> None:
    """Delete a definition and wait until it is gone."""
    assert (await http.delete(f"{CRDS}/{name}")).status_code == 200

    async def gone() -> bool:
        return (await http.get(f"{CRDS}/{name}")).status_code == 404

    await until(gone, f"{name} stays")


def path(document: Document, version: str = "v1", *, namespace: str = "default") -> str:
    """The collection of a definition's objects."""
    spec = document["spec"]
    base = f"/apis/{spec['group']}/{version}"
    inside = f"/namespaces/{namespace}" if spec["scope"] == "Namespaced" and namespace else ""
    return f"{base}{inside}/{spec['names']['plural']}"
