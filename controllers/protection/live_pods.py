"""The pods of a namespace where they are written, asked for once for many claims that go at the same time.

What no pod named at all when its deletion was known already is named by none that starts later: the scheduler places no
pod whose claim is to go. So a list that is as new as the claim will do for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from k8slite.client import Client
from k8slite.informer import Informer
from k8slite.kinds.storage import PersistentVolumeClaim

from ..pods import PODS, Pod, by_claim
from .plan import claim_in_use


@dataclass(frozen=True, slots=True)
class _Listed:
    """The last list: of which namespace and revision, which claims its pods name, and how often the cache had listed
    until then, as revisions begin anew when the store is replaced."""

    namespace: str
    revision: int
    named: frozenset[str]
    lists: int


class LivePods:
    """Answers whether pods use a claim that is to go. `pods` is the cache, which had said that none does."""

    def __init__(self, client: Client, pods: Informer[Pod]) -> None:
        self._client = client
        self._pods = pods
        self._listed: _Listed | None = None

    async def use(self, claim: PersistentVolumeClaim) -> bool:
        """Whether a pod uses the claim. Raises what the client raises."""
        if self._is_told(claim):
            return False
        lists = self._pods.lists
        found = await self._client.list(PODS, namespace=claim.namespace)
        named = frozenset(key for pod in found.items for key in by_claim(pod))
        self._listed = _Listed(claim.namespace, int(found.resource_version), named, lists)
        return claim_in_use(claim, found.items)

    def _is_told(self, claim: PersistentVolumeClaim) -> bool:
        listed = self._listed
        return (
            listed is not None
            and (listed.namespace, listed.lists) == (claim.namespace, self._pods.lists)
            and listed.revision >= int(claim.metadata.resource_version)
            and claim.key not in listed.named
        )
