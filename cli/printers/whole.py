"""Whole objects as JSON or YAML, as kubectl prints them: keys by the alphabet, text of several lines as such, and
without `managedFields`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Block style for text of several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_json(document: Mapping[str, Any]) -> str:
    """Indented JSON."""
    return json.dumps(shown(document), indent=4, sort_keys=True, ensure_ascii=False)


def as_yaml(document: Mapping[str, Any]) -> str:
    """YAML, no line folded."""
    text: str = yaml.dump(shown(document), Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=2**31 - 1)
    return text.rstrip("\n")


def shown(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document, or the list's items, without what only machines read."""
    if isinstance(document.get("items"), list):
        return {**document, "items": [shown(item) for item in document["items"]]}
    metadata = {key: value for key, value in (document.get("metadata") or {}).items() if key != "managedFields"}
    return {**document, "metadata": metadata} if "metadata" in document else dict(document)
