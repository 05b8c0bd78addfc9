"""The authorizers that a configuration asks for, anew whenever its file changes.

A file that is wrong at the start ends the start. Later it changes nothing: what was allowed before still is, and the
fault is logged. `system:masters` is asked first whatever is configured.

Source: Kubernetes documentation, "Authorization: Configuring the API server using an authorization config file".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from k8slite.clock import Clock
from k8slite.config import ApiServerConfig, ConfigError

from ..authn.base import User
from ..changing_files import ChangingFiles
from ..lookup import Objects
from .always import AlwaysAllow, AlwaysDeny
from .base import Attributes, Authorizer, Decision, Held
from .chain import Chain, Masters
from .configuration import AuthorizerSettings, read
from .node import NodeAuthorizer
from .rbac import RBAC

Make = Callable[[AuthorizerSettings], Authorizer]
_log = logging.getLogger(__name__)


def build(config: ApiServerConfig, *, objects: Objects, rbac: RBAC, clock: Clock) -> Chain:
    """The chain of a configuration. Raises ConfigError."""
    modes: Mapping[str, Authorizer] = {
        "Node": NodeAuthorizer(objects),
        "RBAC": rbac,
        "AlwaysAllow": AlwaysAllow(),
        "AlwaysDeny": AlwaysDeny(),
    }

    def make(settings: AuthorizerSettings) -> Authorizer:
        if settings.webhook is None:
            return modes[settings.mode]
        from .webhook import WebhookAuthorizer

        return WebhookAuthorizer(settings.webhook, clock=clock)

    path = config.authorization_config_file
    if path is None:
        if not config.authorization_mode:
            raise ConfigError("authorizationMode: at least one authorization mode must be defined")
        return _chain([AuthorizerSettings(mode) for mode in config.authorization_mode], make)
    if "authorization_mode" in config.model_fields_set:
        raise ConfigError("authorizationMode: cannot be specified beside authorizationConfigFile")
    return FollowingChain(path, make, clock=clock)


def _chain(settings: Sequence[AuthorizerSettings], make: Make) -> Chain:
    return Chain([Masters(), *map(make, settings)])


class FollowingChain(Chain):
    """The chain of a file, which may change."""

    def __init__(self, path: Path, make: Make, *, clock: Clock) -> None:
        """Read the file. Raises ConfigError."""
        super().__init__(())
        self._path = path
        self._make = make
        self._files = ChangingFiles([path], monotonic=clock.monotonic)
        self._settings = read(path)
        self._current = _chain(self._settings, make)
        self._closing: set[asyncio.Task[None]] = set()

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """What those say that the file names now."""
        if self._files.changed():
            self._follow()
        return await self._current.authorize(attributes)

    def held(self, user: User, namespace: str) -> Held:
        """The rules that those know that the file names now."""
        return self._current.held(user, namespace)

    async def close(self) -> None:
        """Let go of connections."""
        await self._current.close()
        await asyncio.gather(*self._closing)

    def _follow(self) -> None:
        try:
            settings = read(self._path)
            if settings == self._settings:
                return
            made = _chain(settings, self._make)
        except ConfigError as error:
            _log.error("authorization goes on as it was: %s", error)
            return
        _log.info("authorization follows %s, which has changed", self._path)
        before, self._current, self._settings = self._current, made, settings
        # Requests that ask the one before get an error at worst; closing must not hold up this one.
        task = asyncio.create_task(before.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
