"""AlwaysPullImages: every start of a container asks the registry, so only who may pull an image can run it.

Source: Kubernetes documentation, "Admission Controllers: AlwaysPullImages".
"""

from __future__ import annotations

from collections.abc import Iterator

from k8slite.errors import not_supported

from ..strategies.base import Document
from .base import Admission, Plugin, refused

_GROUPS = ("initContainers", "containers", "ephemeralContainers")


class AlwaysPullImages(Plugin):
    """Sets the pull policy of images that are new in a pod, ephemeral containers among them."""

    kinds = frozenset({("", "pods")})

    async def mutate(self, admission: Admission) -> None:
        """Set it."""
        for _, holder, member in _new(admission):
            holder[member] = "Always"

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 if something changed it back."""
        wrong = [
            str(not_supported(f"{path}.{member}", holder.get(member) or "", ["Always"]))
            for path, holder, member in _new(admission)
            if holder.get(member) != "Always"
        ]
        if wrong:
            raise refused(admission, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def _new(admission: Admission) -> Iterator[tuple[str, Document, str]]:
    """Where a pull policy stands, for each image that the pod did not have before."""
    if admission.object is None or admission.subresource not in ("", "ephemeralcontainers"):
        return
    spec, before = admission.object["spec"], (admission.old or {}).get("spec") or {}
    known = {(group, one.get("name"), one.get("image")) for group in _GROUPS for one in before.get(group) or ()}
    for group in _GROUPS:
        for index, container in enumerate(spec.get(group) or ()):
            if (group, container.get("name"), container.get("image")) not in known:
                yield f"spec.{group}[{index}]", container, "imagePullPolicy"
    if admission.operation == "CREATE":
        for index, volume in enumerate(spec.get("volumes") or ()):
            if volume.get("image") is not None:
                yield f"spec.volumes[{index}].image", volume["image"], "pullPolicy"
