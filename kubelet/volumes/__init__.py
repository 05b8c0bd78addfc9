"""Volumes of pods: a file per source; `manager` sets them up, keeps them current and takes them down."""

from .base import VolumeFault
from .local_data import LocalData
from .manager import VolumeManager

__all__ = ["LocalData", "VolumeFault", "VolumeManager"]
