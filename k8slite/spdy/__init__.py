"""SPDY/3.1 as Kubernetes' clients speak it for exec, attach and port forwarding: frames, and streams over a connection.

No library on PyPI lives: what there is of SPDY stopped with the browsers' turn to HTTP/2. Only what Kubernetes needs
stands here; windows are not kept, as Kubernetes' own implementation does not, so TCP alone slows a sender down.

Source: SPDY Protocol, draft 3.1 (The Chromium Projects).
"""

from .frames import SpdyError
from .session import Session, Stream

__all__ = ["Session", "SpdyError", "Stream"]
