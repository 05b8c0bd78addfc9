"""Keeps the zone what the informers say. A change costs the records of its Service, and nothing waits."""

from __future__ import annotations

from k8slite.informer import Informer
from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice

from .records import domain_records, service_records
from .zone import Zone


class ZoneSync:
    """Feeds one zone. The slices' informer must have the index `service`."""

    def __init__(
        self,
        zone: Zone,
        *,
        services: Informer[Service],
        slices: Informer[EndpointSlice],
        server: str,
    ) -> None:
        self._zone = zone
        self._services = services
        self._slices = slices
        zone.put("", domain_records(zone.domain, server=server))

    async def start(self) -> None:
        """Return when everything that is listed first is in the zone; changes follow by themselves."""
        await self._services.wait_synced()
        await self._slices.wait_synced()
        self._services.add_handler(self._service_changed)
        self._slices.add_handler(self._slice_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        service = new or old
        if service is not None:
            self._update(service.key)

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        keys = {f"{piece.namespace}/{piece.service_name}" for piece in (old, new) if piece is not None}
        for key in keys:
            service = self._services.get(key)
            # Only headless Services have records that depend on their endpoints.
            if service is not None and service.headless:
                self._update(key)

    def _update(self, key: str) -> None:
        service = self._services.get(key)
        if service is None:
            self._zone.put(key, frozenset())
            return
        slices = self._slices.by_index("service", key) if service.headless else ()
        self._zone.put(key, service_records(service, slices, domain=self._zone.domain))
