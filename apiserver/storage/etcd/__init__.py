"""The store over etcd 3.4 or newer, for clusters with several API servers.

Import it only when it is chosen: it loads grpc, which must not be loaded before a program is forked.
"""

from .store import EtcdStore

__all__ = ["EtcdStore"]
