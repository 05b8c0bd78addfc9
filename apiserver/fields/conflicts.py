"""The answer to an apply that others' ownership forbids.

Source: apimachinery, util/managedfields/internal (conflict.go).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from k8slite.errors import MOST_CAUSES, ApiError

from .entries import Manager
from .ownership import Conflict
from .sets import path_text


def conflict_error(conflicts: Sequence[Conflict]) -> ApiError:
    """409 with a cause for each field and manager, up to as many as a refusal names."""
    count, conflicts = len(conflicts), conflicts[:MOST_CAUSES]
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_named(conflict.manager)}",
            "field": path_text(conflict.path),
        }
        for conflict in conflicts
    ]
    return ApiError(409, "Conflict", _message(conflicts, count), details={"causes": causes})


def _message(conflicts: Sequence[Conflict], count: int) -> str:
    if count == 1:
        manager, path = conflicts[0].manager, path_text(conflicts[0].path)
        return f"Apply failed with 1 conflict: conflict with {_named(manager)}: {path}"
    paths: dict[Manager, list[str]] = {}
    for conflict in conflicts:
        paths.setdefault(conflict.manager, []).append(f"- {path_text(conflict.path)}")
    lines: list[str] = []
    for manager in sorted(paths):
        lines += [f"conflicts with {_named(manager)}:", *paths[manager]]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)


def _named(manager: Manager) -> str:
    text = json.dumps(manager.name, ensure_ascii=False)
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return f"{text} using {manager.api_version}" if manager.operation == "Update" else text
