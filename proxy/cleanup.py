"""Takes back what the proxy and the kubelets of this machine left in its network: for `k8slite down`.

While programs restart, rules and bridge stay, so that traffic flows; only when a cluster goes for good does somebody
have to call this.
"""

from __future__ import annotations

import asyncio
import logging
import shutil

from k8slite.config import ProxyConfig

from .services import apply, table

log = logging.getLogger(__name__)


async def cleanup(config: ProxyConfig) -> None:
    """Remove the nftables table, the rules for Docker and the bridge. What is gone already is fine.

    Raises NftError if nftables refuses, OSError if the bridge cannot be removed.
    """
    if shutil.which("nft"):
        await apply.transact(table.remove(config.table))
        await apply.remove_forwarding(config.bridge)
    await asyncio.to_thread(_remove_link, config.bridge)


def _remove_link(name: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as routes:
        for index in routes.link_lookup(ifname=name):
            routes.link("del", index=index)
