"""Encryption configurations of tests, and a plugin that holds keys as Kubernetes' protocol has it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from cryptography.fernet import Fernet, InvalidToken

from k8slite.apiserver.storage.encryption.kms_protocol import MESSAGES, METHODS

IDENTITY: dict[str, Any] = {"identity": {}}


def keys(provider: str, *numbers: int, size: int = 32) -> dict[str, Any]:
    """A provider with keys `key1`, `key2` … as numbered."""
    made = [{"name": f"key{n}", "secret": base64.b64encode(bytes([n]) * size).decode()} for n in numbers]
    return {provider: {"keys": made}}


def kms(socket: Path, name: str = "vault") -> dict[str, Any]:
    """A plugin on a socket."""
    return {"kms": {"apiVersion": "v2", "name": name, "endpoint": f"unix://{socket}", "timeout": "2s"}}


def write(file: Path, *providers: dict[str, Any], resources: tuple[str, ...] = ("secrets",)) -> Path:
    """Write a configuration, in one step as those do who change one that is in use."""
    content = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": list(resources), "providers": list(providers)}],
    }
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(file)
    return file


def secret(name: str, value: str, *, namespace: str = "ns") -> bytes:
    """A document as the server stores it."""
    head = b'{"kind":"Secret","apiVersion":"v1","metadata":{"resourceVersion":"",'
    rest = {"name": name, "namespace": namespace}
    return head + json.dumps(rest)[1:].encode() + b',"data":' + json.dumps({"value": value}).encode() + b"}"


class Plugin:
    """A key management plugin; `key_id` is the key that it uses now, `healthy` what it says of itself."""

    def __init__(self) -> None:
        self._keys: dict[str, Fernet] = {}
        self.key_id = "one"
        self.healthy = "ok"
        self.calls: list[str] = []

    def forget(self, key_id: str) -> None:
        """Lose a key."""
        del self._keys[key_id]

    def status(self, request: Any, context: Any) -> Any:
        self.calls.append("Status")
        return MESSAGES["StatusResponse"](version="v2", healthz=self.healthy, key_id=self.key_id)

    def encrypt(self, request: Any, context: Any) -> Any:
        self.calls.append("Encrypt")
        key = self._keys.setdefault(self.key_id, Fernet(base64.urlsafe_b64encode(os.urandom(32))))
        notes = {"made.example.com": b"here"}
        return MESSAGES["EncryptResponse"](
            ciphertext=key.encrypt(request.plaintext), key_id=self.key_id, annotations=notes
        )

    def decrypt(self, request: Any, context: Any) -> Any:
        self.calls.append("Decrypt")
        assert dict(request.annotations) == {"made.example.com": b"here"}
        try:
            plain = self._keys[request.key_id].decrypt(request.ciphertext)
        except (KeyError, InvalidToken):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that key is gone")
        return MESSAGES["DecryptResponse"](plaintext=plain)

    @contextlib.contextmanager
    def serving(self, socket: Path) -> Iterator[None]:
        """Answer on a Unix socket."""
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                getattr(self, name.lower()),
                request_deserializer=MESSAGES[f"{name}Request"].FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name in METHODS
        }
        with ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v2.KeyManagementService", methods),))
            server.add_insecure_port(f"unix://{socket}")
            server.start()
            try:
                yield
            finally:
                server.stop(None).wait()
