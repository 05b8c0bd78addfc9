"""Who signs for each of Kubernetes' own signers: the authority's files, read again when they change."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from k8slite.config import ConfigError, ControllerManagerConfig
from k8slite.pki import Authority, KeyPair, PkiError

from .plan import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN

log = logging.getLogger(__name__)


class AuthorityFiles:
    """An authority as its files say. Raises PkiError when made of files that cannot be read."""

    def __init__(self, pair: KeyPair) -> None:
        self._pair = pair
        self._seen = self._look()
        self._authority = Authority.read(pair)

    def current(self) -> Authority:
        """The authority; while changed files cannot be read, as one of two that is not written yet, the one before."""
        seen = self._look()
        if seen != self._seen:
            try:
                self._authority = Authority.read(self._pair)
                self._seen = seen
            except PkiError as error:
                log.warning("the authority that signs certificates cannot be read again: %s", error)
        return self._authority

    def _look(self) -> tuple[object, ...]:
        return _stamp(self._pair.cert_file), _stamp(self._pair.key_file)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def authorities(config: ControllerManagerConfig) -> Mapping[str, AuthorityFiles]:
    """The authority of each signer that has one. Raises ConfigError."""
    every = config.cluster_signing_cert_file, config.cluster_signing_key_file
    single = {
        KUBELET_SERVING: (
            "KubeletServing",
            config.cluster_signing_kubelet_serving_cert_file,
            config.cluster_signing_kubelet_serving_key_file,
        ),
        KUBELET_CLIENT: (
            "KubeletClient",
            config.cluster_signing_kubelet_client_cert_file,
            config.cluster_signing_kubelet_client_key_file,
        ),
        CLIENT: (
            "KubeApiserverClient",
            config.cluster_signing_kube_apiserver_client_cert_file,
            config.cluster_signing_kube_apiserver_client_key_file,
        ),
        LEGACY_UNKNOWN: (
            "LegacyUnknown",
            config.cluster_signing_legacy_unknown_cert_file,
            config.cluster_signing_legacy_unknown_key_file,
        ),
    }
    if any(every) and any(cert or key for _, cert, key in single.values()):
        raise ConfigError(
            "clusterSigningCertFile and clusterSigningKeyFile cannot be set together with those of single signers"
        )
    if any(every):
        shared = _read("", *every)
        return dict.fromkeys(single, shared) if shared is not None else {}
    read = {signer: _read(*files) for signer, files in single.items()}
    return {signer: files for signer, files in read.items() if files is not None}


def _read(name: str, cert: Path | None, key: Path | None) -> AuthorityFiles | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ConfigError(f"clusterSigning{name}CertFile and clusterSigning{name}KeyFile must be set together")
    try:
        return AuthorityFiles(KeyPair(cert, key))
    except PkiError as error:
        raise ConfigError(f"clusterSigning{name}CertFile: {error}") from error
