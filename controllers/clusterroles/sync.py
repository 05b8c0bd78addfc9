"""Keeps the rules of aggregated ClusterRoles in step with the roles that they gather."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.rbac import Role
from k8slite.kinds.resources import CLUSTER_ROLES

from ..context import Context, Runnable
from .plan import aggregates, plan


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [AggregationSync(context).controller]


class AggregationSync:
    """Syncs aggregated roles; a change of any role may concern all of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._roles = context.informers.of(CLUSTER_ROLES)
        self.controller = Controller("ClusterRoleAggregator", self.sync, clock=context.clock, workers=1)
        self._roles.add_handler(self._changed)

    def _changed(self, old: Role | None, new: Role | None) -> None:
        for role in self._roles.list():
            if aggregates(role):
                self.controller.queue.add(role.name)

    async def sync(self, key: str) -> Result:
        """One ClusterRole."""
        role = self._roles.get(key)
        if role is None or role.deleting:
            return DONE
        rules = plan(role, self._roles.list())
        if rules is None:
            return DONE
        body = {
            "metadata": {"resourceVersion": role.metadata.resource_version},
            "rules": [rule.to_wire() for rule in rules],
        }
        try:
            await self._context.client.patch(CLUSTER_ROLES, key, body)
        except ApiError as error:
            # A newer state comes by the watch, and with it the key again.
            if error.code not in (404, 409):
                raise
        return DONE
