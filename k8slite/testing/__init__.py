"""What tests of every component share. Nothing here is used at run time."""

from .server import RunningServer, running_server

__all__ = ["RunningServer", "running_server"]
