"""The drivers that each node has, by row: how many volumes they can attach there, and whom they stand in for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..labels import Mask
from .objects import CsiNode

Counts = npt.NDArray[np.float64]


class Drivers:
    """What the CSINode of each row says."""

    def __init__(self) -> None:
        self.known = np.zeros(0, dtype=np.bool_)
        """Where there is one."""
        self.limits: dict[str, Counts] = {}
        """How many volumes of a driver a row can take: infinity where it does not say."""
        self._installed: dict[str, Mask] = {}
        self._migrated: dict[str, Mask] = {}
        self._nobody = self.known

    def installed(self, driver: str) -> Mask:
        """The rows that have the driver."""
        return self._installed.get(driver, self._nobody)

    def migrated(self, plugin: str) -> Mask:
        """The rows where a driver serves the volumes of the plugin."""
        return self._migrated.get(plugin, self._nobody)

    def set(self, row: int, found: CsiNode | None) -> None:
        """What is said of a row; nothing if there is none."""
        self.known[row] = found is not None
        for limits in self.limits.values():
            limits[row] = np.inf
        for mask in (*self._installed.values(), *self._migrated.values()):
            mask[row] = False
        for driver in found.spec.drivers if found else ():
            self._installed.setdefault(driver.name, self._nobody.copy())[row] = True
            if driver.allocatable.count is not None:
                self.limits.setdefault(driver.name, np.full(self.known.size, np.inf))[row] = driver.allocatable.count
        for plugin in found.migrated if found else ():
            self._migrated.setdefault(plugin, self._nobody.copy())[row] = True

    def grow(self, capacity: int) -> None:
        """There are that many rows."""
        more = capacity - self.known.size
        self.known = np.pad(self.known, (0, more))
        self._nobody = np.zeros(capacity, dtype=np.bool_)
        self.limits = {name: np.pad(found, (0, more), constant_values=np.inf) for name, found in self.limits.items()}
        self._installed = {name: np.pad(found, (0, more)) for name, found in self._installed.items()}
        self._migrated = {name: np.pad(found, (0, more)) for name, found in self._migrated.items()}
