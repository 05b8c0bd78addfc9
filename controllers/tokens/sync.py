"""Fills Secrets for ServiceAccounts' tokens, removes them with their account, and takes removed ones out of its list.

Source: Kubernetes documentation, "Managing Service Accounts" (token controller).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from k8slite.config import ConfigError
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Secret, ServiceAccount
from k8slite.kinds.resources import SECRETS, SERVICE_ACCOUNTS
from k8slite.token_keys import LEGACY_ISSUER, SigningKey, username

from ..context import Context, Runnable
from .plan import ACCOUNT_NAME, ACCOUNT_UID, TYPE, Plan, claims, encoded, plan

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?", re.ASCII)
"""What a ServiceAccount may be called."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller; none without a key to sign with. Raises ConfigError."""
    config = context.config
    if config.service_account_private_key_file is None:
        return []
    authority = ""
    if config.root_ca_file is not None:
        try:
            authority = config.root_ca_file.read_text()
        except OSError as error:
            raise ConfigError(f"rootCaFile: {config.root_ca_file}: {error.strerror}") from error
    key = SigningKey.load(config.service_account_private_key_file)
    return [TokenSync(context, key, authority=authority).controller]


class TokenSync:
    """Syncs Secrets; a key is `<namespace>/<secret>/<account>`."""

    def __init__(self, context: Context, key: SigningKey, *, authority: str) -> None:
        self._context = context
        self._key = key
        self._authority = authority
        self._secrets = context.informers.of(SECRETS, field_selector=f"type={TYPE}", account=_account)
        self._accounts = context.informers.of(SERVICE_ACCOUNTS)
        self.controller = Controller("serviceaccount_tokens_secret", self.sync, clock=context.clock, workers=2)
        self._secrets.add_handler(self._secret_changed)
        self._accounts.add_handler(self._account_changed)

    def _secret_changed(self, old: Secret | None, new: Secret | None) -> None:
        if (secret := new or old) is not None:
            self.controller.queue.add(_key(secret))

    def _account_changed(self, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
        if (account := new or old) is not None:
            for secret in self._secrets.by_index("account", account.key):
                self.controller.queue.add(_key(secret))

    async def sync(self, key: str) -> Result:
        """One Secret."""
        namespace, name, account_name = key.split("/", 2)
        secret = self._secrets.get(f"{namespace}/{name}")
        account = self._accounts.get(f"{namespace}/{account_name}")
        decided = plan(secret=secret, name=name, account=account, authority=self._authority)
        try:
            if decided.delete and secret is not None:
                await self._delete(secret, account_name)
            elif decided.forget:
                await self._forget(namespace, account_name, name)
            elif (decided.fill or decided.sign) and secret is not None and account is not None:
                await self._fill(secret, account, decided)
        except ApiError as error:
            again = decided.forget and error.code == 409  # of a Secret that is gone no event comes any more
            if again or (error.code not in (404, 409) and not error.namespace_goes):
                raise
        return DONE

    async def _delete(self, secret: Secret, account: str) -> None:
        """Remove a Secret without an account: only if there is none in truth, as the cache may be late."""
        if not _NAME.fullmatch(account):  # what somebody wrote there is no name, and must not become a path
            await self._context.client.delete(SECRETS, secret.name, namespace=secret.namespace, uid=secret.uid)
            return
        stated = secret.metadata.annotations.get(ACCOUNT_UID, "")
        try:
            found = await self._context.client.get(SERVICE_ACCOUNTS, account, namespace=secret.namespace)
        except ApiError as error:
            if error.code != 404:
                raise
        else:
            if not stated or stated == found.uid:
                return  # its event comes
        await self._context.client.delete(SECRETS, secret.name, namespace=secret.namespace, uid=secret.uid)

    async def _fill(self, secret: Secret, account: ServiceAccount, decided: Plan) -> None:
        namespace, name = secret.namespace, secret.name
        path = SECRETS.path(namespace=namespace, name=name)
        document: dict[str, Any] = await self._context.client.request("GET", path)
        if document["metadata"]["resourceVersion"] != secret.metadata.resource_version:
            return  # it may be of another type by now, or for another account; its event comes
        data = document.get("data") or {}
        document["data"] = data | {key: encoded(text) for key, text in decided.fill.items()}
        if not data.get("token"):
            said = claims(namespace=namespace, account=account.name, uid=account.uid, secret=name)
            subject = username(namespace, account.name)
            document["data"]["token"] = encoded(self._key.sign({"iss": LEGACY_ISSUER, **said, "sub": subject}))
        annotations = document["metadata"].setdefault("annotations", {})
        annotations |= {ACCOUNT_NAME: account.name, ACCOUNT_UID: account.uid}
        await self._context.client.request("PUT", path, body=document)

    async def _forget(self, namespace: str, account: str, secret: str) -> None:
        path = SERVICE_ACCOUNTS.path(namespace=namespace, name=account)
        document: dict[str, Any] = await self._context.client.request("GET", path)
        listed = document.get("secrets") or []
        kept = [item for item in listed if item.get("name") != secret]
        if kept != listed:
            document["secrets"] = kept
            await self._context.client.request("PUT", path, body=document)


def _account(secret: Secret) -> Iterable[str]:
    yield f"{secret.namespace}/{secret.metadata.annotations.get(ACCOUNT_NAME, '')}"


def _key(secret: Secret) -> str:
    return f"{secret.namespace}/{secret.name}/{secret.metadata.annotations.get(ACCOUNT_NAME, '')}"
