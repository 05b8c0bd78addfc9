"""From a file to a checked KubeSchedulerConfiguration, or to everything that is wrong with it at once.

Source: kube-scheduler's defaults and strict decoding, for what is taken and for the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from k8slite.config import ConfigError

from . import KIND, VERSION
from .document import Document, read_document
from .model import KubeSchedulerConfiguration
from .validation import check
from .values import json_type


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file asks for, and the file, for whoever finds more wrong with it later."""

    wanted: KubeSchedulerConfiguration
    document: Document


def read_configuration(path: Path) -> Configuration:
    """Read and check a file. Raises ConfigError, a line for each problem."""
    return parse(read_document(path))


def parse(document: Document) -> Configuration:
    """Check a document. Raises ConfigError, a line for each problem."""
    tree = document.tree
    if not isinstance(tree, dict) or not tree.get("kind") or not tree.get("apiVersion"):
        missing = "apiVersion" if isinstance(tree, dict) and tree.get("kind") else "Kind"
        raise ConfigError(f"{document.path}: Object '{missing}' is missing")
    if tree["apiVersion"] != VERSION or tree["kind"] != KIND:
        unknown = f'no kind "{tree["kind"]}" is registered for version "{tree["apiVersion"]}"'
        document.refuse([("apiVersion", unknown)])
    decoding: list[tuple[str, str]] = []
    try:
        wanted = KubeSchedulerConfiguration.model_validate(tree)
    except ValidationError as error:
        decoding = list(_decoding(error, tree))
        wanted = KubeSchedulerConfiguration.model_validate(_without(tree, {tuple(e["loc"]) for e in error.errors()}))
    wanted = defaulted(wanted)
    unread = tuple(field for field, _ in decoding)
    causes = [(cause.field, str(cause)) for cause in check(wanted) if not cause.field.startswith(unread)]
    document.refuse([*document.problems, *decoding, *causes])
    return Configuration(wanted, document)


def defaulted(wanted: KubeSchedulerConfiguration) -> KubeSchedulerConfiguration:
    """With what upstream puts in the place of nothing, and of zeros and empty texts that mean nothing."""
    profiles = wanted.profiles or KubeSchedulerConfiguration.model_validate({"profiles": [{}]}).profiles
    if len(profiles) == 1 and profiles[0].scheduler_name is None:
        profiles = [profiles[0].model_copy(update={"scheduler_name": "default-scheduler"})]
    updates: dict[str, Any] = {"profiles": profiles}
    for name in ("leader_election", "client_connection"):
        part = getattr(wanted, name)
        fields = type(part).model_fields.items()
        unset = {key: field.default for key, field in fields if not getattr(part, key) and field.default is not True}
        updates[name] = part.model_copy(update=unset)
    return wanted.model_copy(update=updates)


def _decoding(error: ValidationError, tree: Any) -> Iterator[tuple[str, str]]:
    """Field and message of each error, in Go's words."""
    for found in error.errors():
        location = found["loc"]
        path = spelled(location)
        match found["type"]:
            case "extra_forbidden":
                yield path, f'strict decoding error: unknown field "{path}"'
            case "go_type" | "list_type":
                go = found.get("ctx", {}).get("go", "slice")
                dotted = ".".join(part for part in location if isinstance(part, str))
                kind = json_type(_at(tree, location))
                yield path, f"json: cannot unmarshal {kind} into Go struct field {KIND}.{dotted} of type {go}"
            case _:
                yield path, f"{path}: {found['msg']}"


def spelled(location: Sequence[str | int]) -> str:
    """A place in a document as Kubernetes writes it: `profiles[0].plugins`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _at(tree: Any, location: Sequence[str | int]) -> Any:
    for part in location:
        tree = tree[part]
    return tree


def _without(tree: Any, places: set[tuple[Any, ...]], here: tuple[Any, ...] = ()) -> Any:
    """The tree without what could not be read, so that the rest can be checked too."""
    if isinstance(tree, dict):
        return {key: _without(value, places, (*here, key)) for key, value in tree.items() if (*here, key) not in places}
    if isinstance(tree, list):
        kept = ((index, value) for index, value in enumerate(tree))
        return [{} if (*here, i) in places else _without(value, places, (*here, i)) for i, value in kept]
    return tree
