"""Acting as somebody else: what it leaves behind. What it allows is tried against the real server."""

from __future__ import annotations

import gc
import weakref

from k8slite.apiserver.authn.base import ANONYMOUS, User
from k8slite.apiserver.authn.impersonation import impersonate
from k8slite.apiserver.authz.base import Attributes
from k8slite.apiserver.authz.chain import Chain
from k8slite.errors import ApiError


async def _refusal(asked: Attributes) -> weakref.ref[ApiError]:
    try:
        await impersonate(asked, User("x" * 1000), authorizer=Chain(()))
    except ApiError as error:
        return weakref.ref(error)
    raise AssertionError("it was allowed")


async def test_a_refusal_does_not_wait_for_the_collector() -> None:
    """Anybody may ask to be anybody, with a megabyte of names: 500 of these once held 600 MB."""
    gc.disable()
    try:
        left = await _refusal(Attributes(ANONYMOUS, "get", "/"))
        assert left() is None
    finally:
        gc.enable()
