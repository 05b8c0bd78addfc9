"""The tokens' controller against others' writes."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.controllers.tokens.sync import TokenSync
from k8slite.errors import ApiError, conflict

from .fake_api import FakeApi, context


class Contended(FakeApi):
    """Somebody else writes the account between the first read and the write."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 1

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Any:
        stored = self.objects["serviceaccounts", path.rpartition("/")[2]]
        if method == "GET":
            return dict(stored)
        if self.conflicts:
            self.conflicts -= 1
            raise conflict("serviceaccounts", "web")
        return self.put("serviceaccounts", body)


async def test_a_secret_that_is_gone_is_taken_out_of_its_account_whoever_else_writes_it(monkeypatch) -> None:
    api = Contended()
    api.put("serviceaccounts", {"metadata": {"name": "web"}, "secrets": [{"name": "gone"}, {"name": "there"}]})
    made = context(api)
    of = made.informers.of
    monkeypatch.setattr(made.informers, "of", lambda resource, field_selector="", **more: of(resource, **more))
    sync = TokenSync(made, None, authority="")  # type: ignore[arg-type]
    with pytest.raises(ApiError) as refused:
        await sync.sync("default/gone/web")
    assert refused.value.code == 409
    await sync.sync("default/gone/web")
    assert api.objects["serviceaccounts", "web"]["secrets"] == [{"name": "there"}]
