"""Expressions that pick devices for a ResourceClaim: `device.attributes['gpu.example.com'].model == 'x'`.

They are checked when they are written; whoever allocates devices evaluates them.

Source: Kubernetes' dynamic-resource-allocation, cel/compile.go.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

from .environment import CompileError, Environment, kubernetes
from .types import BOOL, DYN, STRING, Declarations, DeclType, map_of

_DEVICE = DeclType(
    "object",
    fields={
        "driver": STRING,
        "attributes": map_of(map_of(DYN)),
        "capacity": map_of(map_of(DYN)),
        "allowMultipleAllocations": BOOL,
    },
)


class DeviceEnvironment(Environment):
    """The environment of such expressions, which may also name a value: `cel.bind(dra, device.attributes[…], …)`."""

    def __init__(self) -> None:
        super().__init__({"device": _DEVICE})

    @cached_property
    def _checker(self) -> Any:
        from cel_expr_python.ext import ext_bindings

        return self.checker(Declarations(), [*kubernetes(), ext_bindings.ExtBindings()])


@lru_cache(maxsize=1)
def _environment() -> DeviceEnvironment:
    return DeviceEnvironment()


@lru_cache(maxsize=256)
def problem(source: str) -> str:
    """What is wrong with an expression; empty if nothing is."""
    try:
        compiled = _environment().compile(source)
    except CompileError as error:
        return f"compilation failed: {error}"
    if compiled.result in ("bool", "dyn"):
        return ""
    return f"must evaluate to bool or the unknown type, not {compiled.result}"
