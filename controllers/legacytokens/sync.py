"""Marks, and in the end removes, tokens in Secrets that nobody uses: once a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from k8slite.controller import Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import ConfigMap, Secret
from k8slite.kinds.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS

from ..context import Context, Runnable
from ..tokens.plan import ACCOUNT_NAME, TYPE
from .plan import INVALID_SINCE, Decision, observed, plan, secrets_named

TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
"""The ConfigMap in kube-system that says since when API servers note uses."""
EVERY = 86_400.0
KEY = "all"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [LegacyTokens(context)]


class LegacyTokens:
    """Looks at all Secrets of tokens together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._period = timedelta(seconds=context.config.legacy_service_account_token_clean_up_period)
        self._secrets = context.informers.of(SECRETS, field_selector=f"type={TYPE}")
        self._accounts = context.informers.of(SERVICE_ACCOUNTS)
        self.controller = Controller("legacy_serviceaccount_token_cleaner", self.sync, clock=context.clock, workers=1)

    async def run(self) -> None:
        """Look now, and once a day."""
        self.controller.queue.add(KEY)
        await self.controller.run()

    async def sync(self, _: str) -> Result:
        """All of them."""
        today = self._context.clock.now().date()
        named: dict[str, frozenset[str]] = {}
        refused: ApiError | None = None
        if self._secrets.list() and observed(await self._since(), today=today, period=self._period):
            for secret in self._secrets.list():
                try:
                    await self._judge(secret, named)
                except ApiError as error:  # one that cannot be written must not keep the others
                    refused = error
        if refused is not None:
            raise refused
        return Result(EVERY)

    async def _judge(self, secret: Secret, named: dict[str, frozenset[str]]) -> None:
        today = self._context.clock.now().date()
        account = self._accounts.get(f"{secret.namespace}/{secret.metadata.annotations.get(ACCOUNT_NAME, '')}")
        decided = plan(secret, account, today=today, period=self._period)
        if decided is Decision.KEEP:
            return
        if secret.namespace not in named:
            named[secret.namespace] = await self._named(secret.namespace)
        if secret.name in named[secret.namespace]:
            return
        client, revision = self._context.client, secret.metadata.resource_version
        try:
            if decided is Decision.DELETE:
                await client.delete(
                    SECRETS, secret.name, namespace=secret.namespace, uid=secret.uid, resource_version=revision
                )
            else:
                labels = {INVALID_SINCE: today.isoformat()}
                body = {"metadata": {"uid": secret.uid, "resourceVersion": revision, "labels": labels}}
                await client.patch(SECRETS, secret.name, body, namespace=secret.namespace)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _named(self, namespace: str) -> frozenset[str]:
        """The Secrets that pods of a namespace use; asked for only where something would happen."""
        listed = await self._context.client.request("GET", PODS.path(namespace=namespace))
        return frozenset(name for pod in listed["items"] for name in secrets_named(pod["spec"]))

    async def _since(self) -> str:
        try:
            found: ConfigMap = await self._context.client.get(CONFIG_MAPS, TRACKING, namespace="kube-system")
        except ApiError as error:
            if error.code != 404:
                raise
            return ""
        return found.data.get("since", "")
