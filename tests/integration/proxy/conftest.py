from collections.abc import AsyncIterator

import pytest

from .machine import Machine, machine


@pytest.fixture
async def host() -> AsyncIterator[Machine]:
    async with machine() as made:
        yield made
