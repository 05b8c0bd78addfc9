"""The plugins in their order.

Every plugin changes before any validates, so that each validates what will be stored. A plugin that derives from
`Passing` and leaves one of the two out is not called for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from .base import Admission, Passing, Plugin


class Chain:
    """Runs plugins in the order given."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._mutating = [plugin.mutate for plugin in plugins if type(plugin).mutate is not Passing.mutate]
        self._validating = [plugin.validate for plugin in plugins if type(plugin).validate is not Passing.validate]

    async def mutate(self, admission: Admission) -> None:
        """Let every plugin change the object. Raises ApiError."""
        for mutate in self._mutating:
            await mutate(admission)

    async def validate(self, admission: Admission) -> None:
        """Let every plugin refuse the write. Raises ApiError."""
        for validate in self._validating:
            await validate(admission)
