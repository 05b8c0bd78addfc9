"""Keys in a plugin: version 2 of Kubernetes' key management protocol, over a Unix socket.

The plugin encrypts a random seed; each value has a key of its own, derived from the seed, so one seed serves until the
plugin names another key. Every seed that was seen in the clear is kept: values are read without asking. The plugin's
status is asked for when something is to be written and the last answer is old; nothing ticks.

Source: Kubernetes documentation, "Using a KMS provider for data encryption"; apiserver,
storage/value/encrypt/envelope/kmsv2 and storage/value/encrypt/aes (extended nonce).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from k8slite.remembering import Recent

from ..base import StoreUnavailable
from .configuration import Kms
from .providers import Unreadable, gcm_open, gcm_seal

_INFO = 32
_FRESH = 30.0
"""Seconds that a status counts for."""
_EXPIRY = 180.0
"""Seconds after the last good status in which the seed may still be written with."""
_PAUSE = 10.0
"""Seconds in which a seed that could not be learnt is not asked for where everybody would wait for the answer."""
_KEY_ID_LIMIT = 1024
_SOURCE_LIMIT = 1024
_ANNOTATIONS_LIMIT = 32 * 1024
_SEEDS = 4096
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seed:
    """What values are encrypted with now: the seed, and all that it takes to have it decrypted again."""

    octets: bytes
    source: bytes
    key_id: str
    annotations: dict[str, bytes]


class KmsProvider:
    """One plugin."""

    bound = True

    def __init__(self, config: Kms) -> None:
        self._config = config
        self.name = config.name
        self.prefix = b"k8s:enc:kms:v2:%b:" % config.name.encode()
        self._calls: dict[str, Any] = {}
        self._channel: Any = None
        self._seed: _Seed | None = None
        self._seeds: Recent[tuple[Any, ...], bytes] = Recent(_SEEDS)
        self._refused: Recent[tuple[Any, ...], tuple[float, str]] = Recent(_SEEDS)
        """Why a seed could not be decrypted when it was last to be learnt, and how long that counts."""
        self._asked = self._good = float("-inf")
        self.problem = "it was not asked yet"
        """Why the plugin cannot be used, empty if it can."""
        self._lock = asyncio.Lock()

    @property
    def form(self) -> bytes:
        """The prefix and the key that the plugin uses now."""
        return self._form(self._seed.key_id if self._seed else "")

    def _form(self, key_id: str) -> bytes:
        return self.prefix + key_id.encode()

    def has(self, form: bytes) -> bool:
        """Those of every key: which it still has, only the plugin knows."""
        return form.startswith(self.prefix)

    async def ready(self) -> None:
        """Have a seed under the plugin's present key. Raises StoreUnavailable."""
        now = time.monotonic()
        if now - self._asked >= _FRESH:
            async with self._lock:
                if now - self._asked >= _FRESH:
                    await self.check()
        if self._seed is None or time.monotonic() - self._good > _EXPIRY:
            self._asked = float("-inf")
            raise StoreUnavailable(f"the KMS provider {self.name} cannot encrypt: {self.problem}")

    async def check(self) -> str:
        """Ask for the status, and follow a change of key; what is wrong, empty if nothing is."""
        self._asked = time.monotonic()
        try:
            answer = await asyncio.to_thread(self._call, "Status")
            if answer.version not in ("v2", "v2beta1"):
                raise Unreadable(f"got version {answer.version!r}, expected v2")
            if answer.healthz != "ok":
                raise Unreadable(f"got healthz {answer.healthz!r}, expected ok")
            if not 0 < len(answer.key_id) <= _KEY_ID_LIMIT:
                raise Unreadable("the key ID is empty or too long")
            if self._seed is None or self._seed.key_id != answer.key_id:
                self._seed = await asyncio.to_thread(self._new_seed)
            self._good, self.problem = time.monotonic(), ""
        except Unreadable as error:
            if str(error) != self.problem:
                _log.error("the KMS provider %s: %s", self.name, error)
            self.problem = str(error)
        return self.problem

    def _new_seed(self) -> _Seed:
        octets = os.urandom(32)
        answer = self._call("Encrypt", plaintext=octets, uid=str(uuid.uuid4()))
        annotations = dict(answer.annotations)
        size = sum(len(key) + len(value) for key, value in annotations.items())
        if not 0 < len(answer.ciphertext) <= _SOURCE_LIMIT or size > _ANNOTATIONS_LIMIT:
            raise Unreadable("what it made of a key is empty or too long")
        if not 0 < len(answer.key_id) <= _KEY_ID_LIMIT:
            raise Unreadable("the key ID is empty or too long")
        return _Seed(octets, answer.ciphertext, answer.key_id, annotations)

    async def learn(self, values: list[bytes]) -> None:
        """Have the seeds of values decrypted that are not known yet; those that cannot be are left."""
        unknown = {}
        for value in values:
            envelope = self._envelope(value)
            if envelope is not None and _identity(envelope) not in self._seeds:
                unknown[_identity(envelope)] = envelope
        for identity, envelope in unknown.items():
            try:
                await asyncio.to_thread(self._key_of, envelope)
            except Unreadable as error:
                _log.error("the KMS provider %s: %s", self.name, error)
                self._refused.keep(identity, (time.monotonic() + _PAUSE, str(error)))

    def encrypt(self, plain: bytes, place: bytes) -> bytes:
        """The envelope of a value. Raises StoreUnavailable."""
        from .kms_protocol import HKDF_SEED, EncryptedObject

        seed = self._seed
        if seed is None:
            raise StoreUnavailable(f"the KMS provider {self.name} cannot encrypt: {self.problem}")
        info = os.urandom(_INFO)
        envelope = EncryptedObject(
            data=info + gcm_seal(_derived(seed.octets, info), plain, place),
            key_id=seed.key_id,
            source=seed.source,
            annotations=seed.annotations,
            source_type=HKDF_SEED,
        )
        self._seeds.keep(_identity(envelope), seed.octets)
        encoded: bytes = envelope.SerializeToString()
        return self.prefix + encoded

    def decrypt(self, value: bytes, place: bytes) -> tuple[bytes, bytes]:
        """A value in plain. Raises Unreadable; waits for the plugin if its seed was not learnt."""
        from .kms_protocol import AES_GCM_KEY

        envelope = self._envelope(value)
        if envelope is None:
            raise Unreadable("the stored data is no envelope")
        if self._refused:
            self._require_askable(_identity(envelope))
        key, data, form = self._key_of(envelope), envelope.data, self._form(envelope.key_id)
        if envelope.source_type == AES_GCM_KEY:
            return gcm_open(AESGCM(key), data, place), form
        if len(data) < _INFO:
            raise Unreadable("the stored data was shorter than the required size")
        return gcm_open(_derived(key, data[:_INFO]), data[_INFO:], place), form

    def _require_askable(self, identity: tuple[Any, ...]) -> None:
        until, problem = self._refused.get(identity) or (0.0, "")
        if time.monotonic() < until and identity not in self._seeds:
            raise Unreadable(problem)

    def _key_of(self, envelope: Any) -> bytes:
        identity = _identity(envelope)
        known = self._seeds.get(identity)
        if known is None:
            answer = self._call(
                "Decrypt",
                ciphertext=envelope.source,
                uid=str(uuid.uuid4()),
                key_id=envelope.key_id,
                annotations=dict(envelope.annotations),
            )
            known = answer.plaintext
            if len(known) not in (16, 24, 32):
                raise Unreadable("the plugin gave no key")
            self._seeds.keep(identity, known)
        return known

    def _envelope(self, value: bytes) -> Any:
        from google.protobuf.message import DecodeError

        from .kms_protocol import AES_GCM_KEY, HKDF_SEED, EncryptedObject

        try:
            envelope = EncryptedObject.FromString(value[len(self.prefix) :])
        except DecodeError:
            return None
        whole = envelope.data and envelope.source and envelope.key_id
        return envelope if whole and envelope.source_type in (AES_GCM_KEY, HKDF_SEED) else None

    def _call(self, method: str, **fields: Any) -> Any:
        """Ask the plugin, and wait. Raises Unreadable."""
        import grpc

        from .kms_protocol import MESSAGES, METHODS

        if self._channel is None:
            self._channel = grpc.insecure_channel(self._config.endpoint, options=_OPTIONS)
            for name, path in METHODS.items():
                self._calls[name] = self._channel.unary_unary(
                    path,
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=MESSAGES[f"{name}Response"].FromString,
                )
        try:
            return self._calls[method](MESSAGES[f"{method}Request"](**fields), timeout=self._config.timeout)
        except grpc.RpcError as error:
            details = getattr(error, "details", lambda: "")() or type(error).__name__
            raise Unreadable(f"{method}: {details}") from None

    def close(self) -> None:
        """Hang up."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _derived(seed: bytes, info: bytes) -> AESGCM:
    return AESGCM(HKDFExpand(SHA256(), 32, info).derive(seed))


def _identity(envelope: Any) -> tuple[Any, ...]:
    return (envelope.source_type, envelope.source, envelope.key_id, *sorted(envelope.annotations.items()))
