"""Tokens that another server knows: it is asked with a TokenReview, and its answer is remembered for a while.

It is named by a kubeconfig, whose server is the whole URL. A refusal is remembered like a grant; that the server could
not be asked is not. Several requests with one token ask once.

Source: Kubernetes documentation, "Webhook Token Authentication"; Kubernetes' apiserver, authenticator/token/webhook.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k8slite.clock import Clock
from k8slite.config import ConfigError
from k8slite.connection import ClientConfig, connect

from .base import Grant, Refused, User

if TYPE_CHECKING:
    import aiohttp

_CACHED = 4096
_TIMEOUT = 10.0
"""Seconds for one attempt."""
_ATTEMPTS = 4
_FIRST_WAIT = 0.5
_GROWTH = 1.5
_LIMIT = 1 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server said: a user, or a refusal with its reason (perhaps empty)."""

    user: User | None
    audiences: tuple[str, ...]
    reason: str
    until: float


class _Again(Exception):
    """The server could not be asked, and may be asked again."""


class WebhookTokens:
    """Asks one server about tokens. `audiences` are this server's: what a token is for if the answer does not say."""

    agnostic = False

    def __init__(self, path: Path, *, version: str, remembered: float, audiences: Sequence[str], clock: Clock) -> None:
        """Read the kubeconfig; nothing is connected yet. Raises ConfigError."""
        self._config = ClientConfig.from_kubeconfig(path)
        if not self._config.server.startswith(("https://", "http://")):
            raise ConfigError(f"{path}: the cluster names no server")
        self._version = version
        self._remembered = remembered
        self._audiences = tuple(audiences)
        self._clock = clock
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Answer]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connection."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """The user that the server names; None if it does not know the token. Raises Refused."""
        key = hashlib.sha256(repr((token, tuple(audiences))).encode("utf-8", "surrogatepass")).digest()
        answer = self._answers.get(key)
        if answer is None or answer.until <= self._clock.monotonic():
            answer = await self._shared(key, token, audiences)
        if answer.user is None:
            if answer.reason:
                raise Refused(answer.reason)
            return None
        left = max(0.0, answer.until - self._clock.monotonic())
        renew = self._clock.now().timestamp() + left
        return Grant(answer.user, audiences=frozenset(answer.audiences or self._audiences), renew=renew)

    async def _shared(self, key: bytes, token: str, audiences: Sequence[str]) -> _Answer:
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._remember(key, token, audiences))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # Whoever asked first may leave; the others still want the answer.
        return await asyncio.shield(task)

    async def _remember(self, key: bytes, token: str, audiences: Sequence[str]) -> _Answer:
        answer = await self._ask(token, audiences)
        self._answers[key] = answer
        self._answers.move_to_end(key)
        if len(self._answers) > _CACHED:
            self._answers.popitem(last=False)
        return answer

    async def _ask(self, token: str, audiences: Sequence[str]) -> _Answer:
        spec: dict[str, Any] = {"token": token, "audiences": list(audiences)}
        review = {
            "kind": "TokenReview",
            "apiVersion": f"authentication.k8s.io/{self._version}",
            "metadata": {},
            "spec": spec,
            "status": {"user": {}},
        }
        wait = _FIRST_WAIT
        for attempt in range(_ATTEMPTS):
            try:
                return self._read(await self._post(review))
            except _Again as error:
                if attempt == _ATTEMPTS - 1:
                    _log.error("Failed to make webhook authenticator request: %s", error)
                    raise Refused(str(error)) from None
                await self._clock.sleep(wait)
                wait *= _GROWTH
        raise AssertionError

    async def _post(self, review: dict[str, Any]) -> Any:
        import aiohttp

        try:
            if self._session is None:
                self._session = connect(self._config)
            async with self._session.post(
                self._config.server,
                json=review,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
            ) as response:
                if response.status == 429 or response.status >= 500:
                    raise _Again(f"the token webhook answered with status {response.status}")
                if not 200 <= response.status < 300:
                    raise Refused(f"the token webhook answered with status {response.status}")
                content = await response.content.read(_LIMIT + 1)
                while len(content) <= _LIMIT and (more := await response.content.read(_LIMIT + 1 - len(content))):
                    content += more
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as error:
            raise _Again(f"the token webhook cannot be asked: {type(error).__name__}: {error}") from None
        except ConfigError as error:
            raise Refused(str(error)) from None
        if len(content) > _LIMIT:
            raise Refused("the token webhook's answer is too long")
        return content

    def _read(self, content: bytes) -> _Answer:
        import orjson

        try:
            status = orjson.loads(content)["status"]
            user = status.get("user") or {}
            extra = {key: tuple(map(str, values or ())) for key, values in (user.get("extra") or {}).items()}
            found = User(
                str(user.get("username") or ""),
                uid=str(user.get("uid") or ""),
                groups=tuple(map(str, user.get("groups") or ())),
                extra=extra,
            )
            audiences = tuple(map(str, status.get("audiences") or ()))
            reason = str(status.get("error") or "")
            authenticated = status.get("authenticated") is True
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise Refused("the token webhook's answer is no TokenReview") from None
        until = self._clock.monotonic() + self._remembered
        return _Answer(found if authenticated else None, audiences, reason, until)
