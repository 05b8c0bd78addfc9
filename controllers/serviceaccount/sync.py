"""Gives every namespace the ServiceAccount `default`, under which pods run that name none."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Namespace, ServiceAccount
from k8slite.kinds.resources import NAMESPACES, SERVICE_ACCOUNTS

from ..context import Context, Runnable

NAME = "default"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [ServiceAccountSync(context).controller]


class ServiceAccountSync:
    """Syncs namespaces."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.informers.of(NAMESPACES)
        self._accounts = context.informers.of(SERVICE_ACCOUNTS)
        self.controller = Controller("serviceaccount", self.sync, clock=context.clock, workers=2)
        self._namespaces.add_handler(self._namespace_changed)
        self._accounts.add_handler(self._account_changed)

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if old is None and new is not None:
            self.controller.queue.add(new.key)

    def _account_changed(self, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
        if new is None and old is not None and old.name == NAME:
            self.controller.queue.add(old.namespace)

    async def sync(self, key: str) -> Result:
        """One namespace."""
        namespace = self._namespaces.get(key)
        if namespace is None or namespace.deleting or self._accounts.get(f"{key}/{NAME}") is not None:
            return DONE
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": key}}
        try:
            await self._context.client.create(SERVICE_ACCOUNTS, body, namespace=key)
        except ApiError as error:
            if error.code not in (404, 409) and not error.namespace_goes:
                raise
        return DONE
