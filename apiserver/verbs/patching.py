"""PATCH by JSON patches, merge patches and strategic merge patches: a PUT whose object is made from the current one.

Source: Kubernetes' apiserver, endpoints/handlers/patch.go (jsonPatcher, smpPatcher).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from k8slite.errors import ApiError, DecodeError, rejected_patch, unsupported_media_type
from k8slite.schema import Decoded, Strictness, TypeFacts

from ..calls import Answer, Call
from ..documents import Document
from ..patch.body import Form, Patch, read_patch
from ..registry import Registry, require_verb
from ..wire.options import check_manager
from . import metadata
from .managing import Current, Wanted
from .writing import answer, change_object

_FORMS: dict[str, Form] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


async def patch(registry: Registry, call: Call) -> Answer:
    """PATCH an object, or one of its subresources of the same kind."""
    served = registry.find(*call.resource.key)
    if not call.info.subresource:
        require_verb(call.resource, "patch")
    check_manager(call.options, "PatchOptions")
    resource = served.resource
    patched = patcher(registry, call, resource.group, resource.version, resource.kind)
    # Entries are many and seldom the patch's business: it sees them if it names them, or may do so in disguise.
    shows_entries = b"managedFields" in call.body or b"\\u" in call.body

    async def make(current: Current) -> Wanted:
        old = current.object
        decoded = patched(with_entries(current) if shows_entries else {**old, "metadata": dict(old["metadata"])})
        metadata.check_place(decoded.object["metadata"], resource, call.info)
        return Wanted(decoded)

    return await answer(registry, served, call, await change_object(registry, served, call, make), 200)


def patcher(registry: Registry, call: Call, group: str, version: str, kind: str) -> Callable[[Document], Decoded]:
    """What the body makes of a document of that kind, which is not changed.

    Raises ApiError 415, 400; the function raises 400 and 413 for the patch, 422 for what comes out of it.
    """
    patch = _read(call, registry.schemas.type_of(group, version, kind))
    strictness = cast(Strictness, call.options.field_validation)

    def patched(document: Document) -> Decoded:
        outcome = patch.apply(document)
        try:
            decoded = registry.schemas.check(
                outcome,
                group=group,
                version=version,
                kind=kind,
                strictness="Ignore" if strictness == "Ignore" else "Warn",
            )
        except ApiError as error:
            detail = error.detail if isinstance(error, DecodeError) else error.message
            raise rejected_patch(patch.shown(outcome), detail) from error
        findings = [*patch.findings, *decoded.warnings]
        if findings and strictness == "Strict":
            raise rejected_patch(patch.shown(outcome), "strict decoding error: " + ", ".join(findings))
        return replace(decoded, warnings=findings)

    return patched


def _read(call: Call, facts: TypeFacts | None) -> Patch:
    form = _FORMS.get(call.content_type)
    # The schema of a custom resource has no merge keys.
    if form is None or (form == "strategic" and facts is None):
        offered = [media for media, form in _FORMS.items() if form != "strategic" or facts is not None]
        raise unsupported_media_type([*offered, "application/apply-patch+yaml"])
    return read_patch(call.body, form, facts=facts, strict=call.options.field_validation != "Ignore")


def with_entries(current: Current) -> Document:
    """The object as clients read it."""
    metadata = dict(current.object["metadata"])
    if current.entries:
        metadata["managedFields"] = current.entries
    return {**current.object, "metadata": metadata}
