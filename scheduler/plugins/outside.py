"""Plugins of others: Python packages that offer some under the entry point group `k8slite.scheduler.plugins`.

An entry point is named as configuration names the plugin, and gives a factory: `(handle, args)` to a plugin.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from ..framework import Factory

GROUP = "k8slite.scheduler.plugins"


def outside(name: str) -> Factory | None:
    """The factory of a plugin that some installed package offers. Raises ValueError where it cannot be had."""
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        return None
    if len(found) > 1:
        packages = ", ".join(sorted(point.dist.name if point.dist else point.value for point in found))
        raise ValueError(f'plugin "{name}" is offered by several packages: {packages}')
    try:
        return cast(Factory, found[0].load())
    except Exception as error:
        raise ValueError(f'plugin "{name}" cannot be loaded from {found[0].value}: {error!r}') from error
