"""Reading manifests: YAML or JSON, many documents in a file, each with the file and line where it begins."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .failure import Failure


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as the user wrote it."""

    object: dict[str, Any]
    source: str
    line: int

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.source}:{self.line}"


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: timestamps stay text, and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    "while reading a mapping", node.start_mark, f"key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(filenames: Sequence[str]) -> list[Manifest]:
    """Every object in files, directories (*.yaml, *.yml, *.json) and standard input (-). Raises Failure."""
    if not filenames:
        raise Failure("must specify -f")
    return [manifest for path in filenames for manifest in _read(path)]


def _read(name: str) -> Iterator[Manifest]:
    if name == "-":
        yield from read_text(sys.stdin.read(), source="standard input")
        return
    path = Path(name)
    try:
        paths = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml", ".json")) if path.is_dir() else [path]
        for file in paths:
            yield from read_text(file.read_text(), source=str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{name}: {error.strerror if isinstance(error, OSError) else 'not a text file'}") from error


def read_text(text: str, *, source: str) -> list[Manifest]:
    """Every object in a text. Raises Failure with file, line and column."""
    loader = _Loader(text)
    found = []
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            document = loader.construct_document(node)
            found += _objects(document, source=source, line=node.start_mark.line + 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise Failure(f"{place}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise Failure(f"{source}: {error}") from error
    finally:
        loader.dispose()
    return found


def _objects(document: Any, *, source: str, line: int) -> list[Manifest]:
    if document is None:
        return []
    if not isinstance(document, dict):
        raise Failure(f"{source}:{line}: expected an object with apiVersion and kind, not {type(document).__name__}")
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        return [item for entry in document["items"] for item in _objects(entry, source=source, line=line)]
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise Failure(f"{source}:{line}: {field} not set")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not (metadata.get("name") or metadata.get("generateName")):
        raise Failure(f"{source}:{line}: {document['kind']} has no metadata.name")
    return [Manifest(document, source, line)]
