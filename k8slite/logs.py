"""Logging: one line per record on standard error, the same form in every program.

Nothing logs a token, a key, a Secret's data or a request's body.
"""

from __future__ import annotations

import logging
import os
import sys


def configure(level: str | None = None) -> None:
    """Set up the root logger once; `K8SLITE_LOG` (`debug`, `info`, `warning`) is the default level."""
    logging.basicConfig(
        stream=sys.stderr,
        level=(level or os.environ.get("K8SLITE_LOG", "info")).upper(),
        format="%(asctime)s.%(msecs)03d %(levelname).1s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )
    for noisy in ("httpx", "httpcore", "aiohttp.access", "urllib3", "docker"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
