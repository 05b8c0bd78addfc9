"""TLS: the server's certificate, and which clients' certificates are let in. Both follow their files.

A context cannot be changed under the connections that use it, so a new one is made, and every handshake that begins is
given the newest: OpenSSL asks, at the beginning of each, whether the name that the client wants calls for another
context, and the name need not matter. Files that do not fit together, as in the midst of a renewal, change nothing.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from k8slite.config import ApiServerConfig

from ..changing_files import ChangingFiles

_log = logging.getLogger(__name__)


def tls_context(config: ApiServerConfig) -> ssl.SSLContext:
    """The context to serve with; its handshakes follow the files. Raises OSError or SSLError for files at the start."""
    return _Following(config).first


class _Following:
    """The newest context, and the files that it was made of."""

    def __init__(self, config: ApiServerConfig) -> None:
        self._config = config
        self._files = ChangingFiles(_files(config))
        self._late = False
        self.first = self._newest = _context(config)
        self.first.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        if self._files.changed() or self._late:
            self._renew()
        if self._newest is not self.first:
            connection.context = self._newest

    def _renew(self) -> None:
        try:
            self._newest = _context(self._config)
        except (OSError, ValueError) as error:
            if not self._late:
                _log.error("TLS stays as it was: %s", error)
            self._late = True
            return
        self._late = False
        _log.info("TLS files have changed and are in use")


def _files(config: ApiServerConfig) -> list[Path]:
    proxies = config.requestheader_client_ca_file
    return [config.cert_file, config.key_file, config.client_ca_file, *([proxies] if proxies is not None else [])]


def _context(config: ApiServerConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer; a client certificate, if one is shown, must come from the CA of clients or that of proxies."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.cert_file, config.key_file)
    context.load_verify_locations(cafile=config.client_ca_file)
    if config.requestheader_client_ca_file is not None:
        context.load_verify_locations(cafile=config.requestheader_client_ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    # Every connection proves its certificate anew: no session is resumed past a certificate's end.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context
