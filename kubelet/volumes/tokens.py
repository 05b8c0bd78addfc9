"""ServiceAccount tokens bound to pods, asked of the API server and renewed in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import aiohttp

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.errors import ApiError
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import SERVICE_ACCOUNTS

from .base import VolumeFault
from .projected import TokenKey

_RENEW_AT = 0.8
_LONGEST = 24 * 3600.0
_RETRY = 30.0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: datetime

    def __repr__(self) -> str:
        return f"_Token(renew_at={self.renew_at})"


class Tokens:
    """Remembers a token by pod, audience and lifetime, until four fifths of its life or a day have passed."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[tuple[str, TokenKey], _Token] = {}

    async def get(self, pod: Pod, key: TokenKey) -> str:
        """A token that is good for a while yet. Raises VolumeFault."""
        known = self._tokens.get((pod.uid, key))
        now = self._clock.now()
        if known is not None and known.renew_at > now:
            return known.text
        audience, seconds = key
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid},
            },
        }
        path = SERVICE_ACCOUNTS.path(
            namespace=pod.namespace, name=pod.spec.service_account_name or "default", subresource="token"
        )
        try:
            answer = await self._client.request("POST", path, body=body)
        except (ApiError, aiohttp.ClientError, OSError) as error:
            if known is not None:
                self._tokens[pod.uid, key] = replace(known, renew_at=now + timedelta(seconds=_RETRY))
                return known.text
            raise VolumeFault(f"failed to fetch token: {error}") from error
        status = answer.get("status") or {}
        expires = datetime.fromisoformat(status["expirationTimestamp"])
        life = min((expires - now).total_seconds() * _RENEW_AT, _LONGEST)
        token = _Token(str(status["token"]), now + timedelta(seconds=life))
        self._tokens[pod.uid, key] = token
        return token.text

    def renewal(self, pod_uid: str) -> datetime | None:
        """When the first token of a pod wants renewing."""
        return min((token.renew_at for (uid, _), token in self._tokens.items() if uid == pod_uid), default=None)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._tokens if key[0] == pod_uid]:
            del self._tokens[key]
