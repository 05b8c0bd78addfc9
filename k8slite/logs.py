"""Logging: one line per record on standard error, the same form in every program.

Nothing logs a token, a key, a Secret's data or a request's body. What clients say may be in a message, but begins no
line of its own: whoever could write lines could write them in anybody's name.
"""

from __future__ import annotations

import logging
import os
import sys

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname).1s %(name)s: %(message)s"
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, 0x85)} | {ord("\n"): "\\n", ord("\t"): "\t"}


class OneLine(logging.Formatter):
    """Writes a message with its control characters escaped; a traceback follows in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line of a record."""
        return super().formatMessage(record).translate(_ESCAPES)


def configure(level: str | None = None) -> None:
    """Set up the root logger once; `K8SLITE_LOG` (`debug`, `info`, `warning`) is the default level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(_FORMAT, "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=(level or os.environ.get("K8SLITE_LOG", "info")).upper(), force=True)
    for noisy in ("httpx", "httpcore", "aiohttp.access", "urllib3", "docker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
