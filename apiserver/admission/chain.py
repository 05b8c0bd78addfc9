"""The plugins in their order.

Every plugin changes before any validates, so that each validates what will be stored. A plugin that leaves
one of the two out is not called for it, nor for kinds and operations that it does not name: which are left is worked
out once for each kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from .base import Admission, Operation, Plugin

_REMEMBERED = 4096
Step = Callable[[Admission], Awaitable[None]]
_Steps = tuple[tuple[Step, ...], tuple[Step, ...]]


class Chain:
    """Runs plugins in the order given."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._plugins = tuple(plugins)
        self._steps: dict[tuple[str, str, Operation], _Steps] = {}

    async def mutate(self, admission: Admission) -> None:
        """Let every plugin change the object, twice if one of them asks for it. Raises ApiError."""
        steps = self._concerned(admission)[0]
        for mutate in steps:
            await mutate(admission)
        if admission.reinvocation.wanted:
            admission.reinvocation.again = True
            for mutate in steps:
                await mutate(admission)

    async def validate(self, admission: Admission) -> None:
        """Let every plugin refuse the write. Raises ApiError."""
        for validate in self._concerned(admission)[1]:
            await validate(admission)

    def _concerned(self, admission: Admission) -> _Steps:
        key = (admission.resource.group, admission.resource.plural, admission.operation)
        found = self._steps.get(key)
        if found is None:
            asked = [plugin for plugin in self._plugins if _concerns(plugin, *key)]
            mutating = tuple(plugin.mutate for plugin in asked if type(plugin).mutate is not Plugin.mutate)
            validating = tuple(plugin.validate for plugin in asked if type(plugin).validate is not Plugin.validate)
            if len(self._steps) >= _REMEMBERED:  # custom resources come and go
                self._steps.clear()
            found = self._steps[key] = (mutating, validating)
        return found


def _concerns(plugin: Plugin, group: str, plural: str, operation: Operation) -> bool:
    return operation in plugin.operations and (plugin.kinds is None or (group, plural) in plugin.kinds)
