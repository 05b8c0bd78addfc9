"""Encryption at rest of a cluster: its file, with a key that is made once.

The key lies beside the store that it protects: what it protects from is a copy of the store alone, a backup or a disk's
sectors. Clusters that were made before this stay as they are, and so does an etcd that is not this cluster's own, where
servers with other keys may be at home.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from k8slite.pki import write_private

from ..failure import Failure
from .spec import ClusterSpec

_HEAD = """\
# How the API server of this cluster stores Secrets: encrypted, with this key. Whoever loses it loses them.
# docs/encryption.md of k8slite tells how to change the key, and how to switch encryption off.
"""


def ensure_file(spec: ClusterSpec) -> None:
    """Write the configuration of a new cluster. Raises Failure if that of one with a store is gone."""
    path = file(spec)
    if not spec.encrypts or path.exists():
        return
    if (spec.directory / "store.db").exists() or (spec.directory / "etcd").exists():
        raise Failure(f"{path} is gone, and with it the key that the Secrets of cluster {spec.name} are encrypted with")
    key = base64.b64encode(os.urandom(32)).decode()
    content = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": ["secrets"],
                "providers": [{"secretbox": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}],
            }
        ],
    }
    write_private(path, (_HEAD + yaml.safe_dump(content, sort_keys=False)).encode())


def file(spec: ClusterSpec) -> Path:
    """Where the configuration stands."""
    return spec.directory / "encryption.yaml"
