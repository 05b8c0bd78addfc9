"""A configuration file as plain data, with the line of every field, so that an error can say where it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from k8slite.config import ConfigError

from . import GROUP, KIND


class Document:
    """What a file says. `tree` is plain data, `problems` what the reading itself found, by field."""

    def __init__(self, path: Path, text: str) -> None:
        """Raises ConfigError for what is no YAML."""
        self.path = path
        self.problems: list[tuple[str, str]] = []
        self._lines: dict[str, int] = {}
        self._loader = yaml.SafeLoader(text)
        try:
            node = self._loader.get_single_node()
            self.tree: Any = self._read(node, "") if node is not None else None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error)
            raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: yaml: {problem}") from error

    def refuse(self, problems: Iterable[tuple[str, str]]) -> None:
        """Raise ConfigError for problems by field, if there are any: one a line, in the order of the file."""
        found = sorted((self._line(field), message) for field, message in problems)
        if found:
            raise ConfigError("\n".join(f"{self.path}:{line}: {message}" for line, message in found))

    def _line(self, field: str) -> int:
        """The line of a field, or of the nearest one around it that is there."""
        while field and field not in self._lines:
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return self._lines.get(field, 1)

    def _read(self, node: yaml.Node, path: str) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        if node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:binary"):
            return node.value
        return self._loader.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        written = {id(key) for key, _ in node.value}
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found and id(key) in written:
                self.problems.append((f"{path}.{name}".lstrip("."), f'yaml: key "{name}" already set in map'))
            inner = f"{path}.{name}".lstrip(".")
            self._lines[inner] = key.start_mark.line + 1
            found[name] = self._read(value, inner)
        return found


def read_document(path: Path) -> Document:
    """Read a file. Raises ConfigError."""
    try:
        return Document(path, path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: no UTF-8 text") from None


def is_upstreams(tree: Any) -> bool:
    """Whether a decoded file is meant as a KubeSchedulerConfiguration, of whatever version."""
    return isinstance(tree, dict) and (tree.get("kind") == KIND or str(tree.get("apiVersion")).startswith(f"{GROUP}/"))
