"""Rules for paths in a file system.

Source: Kubernetes' core validation (validateLocalDescendingPath, ValidateLocalNonReservedPath).
"""

from __future__ import annotations

from k8slite.errors import Cause, invalid_value

MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def no_steps_back(path: str, field: str) -> list[Cause]:
    """No part of the path is `..`."""
    if ".." in path and ".." in path.split("/"):
        return [invalid_value(field, path, "must not contain '..'")]
    return []


def descending(path: str, field: str) -> list[Cause]:
    """The path is relative and leads only down."""
    causes = [invalid_value(field, path, "must be a relative path")] if path.startswith("/") else []
    return causes + no_steps_back(path, field)


def inside(path: str, field: str) -> list[Cause]:
    """The path leads down, and its first name is not one that the kubelet keeps for itself."""
    causes = descending(path, field)
    if path.startswith("..") and not path.startswith("../"):
        causes.append(invalid_value(field, path, "must not start with '..'"))
    return causes


def mode(value: int | None, field: str) -> list[Cause]:
    """The permissions of a file."""
    return [] if value is None or 0 <= value <= 0o777 else [invalid_value(field, value, MODE)]
