"""Keeps the signatures of `kube-public/cluster-info`."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.kinds.core import ConfigMap, Secret
from k8slite.kinds.resources import CONFIG_MAPS, SECRETS

from ..context import Context, Runnable
from .plan import TYPE, expires, is_token, signed, token

PLACE, NAME = "kube-public", "cluster-info"
KEY = f"{PLACE}/{NAME}"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [SignerSync(context).controller]


class SignerSync:
    """Syncs one ConfigMap."""

    def __init__(self, context: Context) -> None:
        self._context = context
        selector = f"metadata.name={NAME},metadata.namespace={PLACE}"
        self._config_maps = context.informers.of(CONFIG_MAPS, field_selector=selector)
        self._secrets = context.informers.of(SECRETS, field_selector=f"type={TYPE}")
        self.controller = Controller("bootstrap_signer_queue", self.sync, clock=context.clock, workers=1)
        self._config_maps.add_handler(self._changed)
        self._secrets.add_handler(self._token_changed)

    def _changed(self, old: ConfigMap | None, new: ConfigMap | None) -> None:
        if new is not None and new.key == KEY:
            self.controller.queue.add(KEY)

    def _token_changed(self, old: Secret | None, new: Secret | None) -> None:
        self.controller.queue.add(KEY)

    async def sync(self, key: str) -> Result:
        """Sign what is to be signed, and come again when a token ends."""
        found = self._config_maps.get(key)
        if found is None or found.deleting:
            return DONE
        now = self._context.clock.now()
        secrets = [secret for secret in self._secrets.list() if is_token(secret)]
        tokens = [each for secret in secrets if (each := token(secret, now=now)) is not None]
        if (data := signed(found.data, tokens)) is not None:
            path = CONFIG_MAPS.path(namespace=PLACE, name=NAME)
            body = await self._context.client.request("GET", path)
            if body["metadata"]["resourceVersion"] != found.metadata.resource_version:
                raise TryAgain(f"{KEY} has changed")  # it comes again with the change
            await self._context.client.update(CONFIG_MAPS, NAME, body | {"data": data}, namespace=PLACE)
        ends = [end for secret in secrets if (end := expires(secret)) is not None and end > now]
        return Result((min(ends) - now).total_seconds()) if ends else DONE
