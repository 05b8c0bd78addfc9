"""The local ways to encrypt a value: one provider for each key, and one for no encryption at all.

A value says at its beginning which key it is under (`k8s:enc:aesgcm:v1:<key>:`); what follows is laid out as Kubernetes
does it, so that either reads what the other wrote. AES-GCM vouches for the place of a value as well; of the others a
value is checked against its place after it was read (`bound`).

Source: Kubernetes documentation, "Encrypting Confidential Data at Rest"; apiserver, storage/value/encrypt.
"""

from __future__ import annotations

import hashlib
import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

MAGIC = b"k8s:enc:"
"""What every encrypted value begins with; a document begins with a brace."""
_GCM_NONCE = 12
_GCM_TAG = 16
_BLOCK = 16
_BOX_NONCE = 24


class Unreadable(Exception):
    """A value is not what this provider wrote there."""


class Provider(Protocol):
    """One key."""

    prefix: bytes
    """What its values begin with."""
    bound: bool
    """Whether a value can be read only at the place that it was written to."""

    @property
    def form(self) -> bytes:
        """What tells a value that is written now from one that should be written anew."""
        ...

    def has(self, form: bytes) -> bool:
        """Whether values of a form are under a key that it has."""
        ...

    async def ready(self) -> None:
        """Be able to encrypt. Raises StoreUnavailable."""
        ...

    async def learn(self, values: list[bytes]) -> None:
        """Find out, without holding up others, what is needed to decrypt values of this provider."""
        ...

    def encrypt(self, plain: bytes, place: bytes) -> bytes:
        """A value as it is stored. Raises StoreUnavailable."""
        ...

    def decrypt(self, value: bytes, place: bytes) -> tuple[bytes, bytes]:
        """A stored value in plain, and its form. Raises Unreadable."""
        ...


class _Local:
    """A key that is at hand. Its name may have been another key's: only the key itself tells what is under it."""

    bound = False

    def __init__(self, prefix: bytes, key: bytes = b"") -> None:
        self.prefix = prefix
        self.form = prefix + hashlib.sha256(prefix + key).digest() if prefix else b""

    def has(self, form: bytes) -> bool:
        """Its own."""
        return form == self.form

    async def ready(self) -> None:
        """Always."""

    async def learn(self, values: list[bytes]) -> None:
        """Nothing."""

    def encrypt(self, plain: bytes, place: bytes) -> bytes:
        """Prefix and encrypted value."""
        return self.prefix + self.seal(plain, place)

    def decrypt(self, value: bytes, place: bytes) -> tuple[bytes, bytes]:
        """The plain value. Raises Unreadable."""
        return self.open(value[len(self.prefix) :], place), self.form

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """What follows the prefix."""
        raise NotImplementedError

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The reverse. Raises Unreadable."""
        raise NotImplementedError


class Identity(_Local):
    """Values as they are. What is encrypted is not readable by it, whoever it was written for."""

    bound = True

    def __init__(self) -> None:
        super().__init__(b"")

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Itself."""
        return plain

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Itself. Raises Unreadable for an encrypted value."""
        if sealed.startswith(MAGIC):
            raise Unreadable("identity transformer tried to read encrypted data")
        return sealed


class AesGcm(_Local):
    """AES-GCM with random nonces: a key must go before it has written some billions of values."""

    bound = True

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__(b"k8s:enc:aesgcm:v1:%b:" % name.encode(), key)
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Nonce, then ciphertext with its tag."""
        return gcm_seal(self._cipher, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The reverse."""
        return gcm_open(self._cipher, sealed, place)


def gcm_seal(cipher: AESGCM, plain: bytes, place: bytes) -> bytes:
    """A random nonce, then ciphertext with its tag."""
    nonce = os.urandom(_GCM_NONCE)
    return nonce + cipher.encrypt(nonce, plain, place)


def gcm_open(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    """The reverse. Raises Unreadable."""
    if len(sealed) < _GCM_NONCE + _GCM_TAG:
        raise Unreadable("the stored data was shorter than the required size")
    try:
        return cipher.decrypt(sealed[:_GCM_NONCE], sealed[_GCM_NONCE:], place)
    except InvalidTag:
        raise Unreadable("cipher: message authentication failed") from None


class AesCbc(_Local):
    """AES-CBC with PKCS#7: nothing tells whether a value was tampered with. To read what others wrote."""

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__(b"k8s:enc:aescbc:v1:%b:" % name.encode(), key)
        self._key = AES(key)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Initialization vector, then ciphertext."""
        vector = os.urandom(_BLOCK)
        padder, encryptor = PKCS7(_BLOCK * 8).padder(), Cipher(self._key, CBC(vector)).encryptor()
        padded = padder.update(plain) + padder.finalize()
        return vector + encryptor.update(padded) + encryptor.finalize()

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The reverse."""
        if len(sealed) < 2 * _BLOCK or len(sealed) % _BLOCK:
            raise Unreadable("the stored data is not a multiple of the block size")
        decryptor, unpadder = Cipher(self._key, CBC(sealed[:_BLOCK])).decryptor(), PKCS7(_BLOCK * 8).unpadder()
        padded = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
        try:
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise Unreadable("invalid padding on input") from None


class SecretBox(_Local):
    """XSalsa20 with Poly1305: as many values as one likes under one key."""

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__(b"k8s:enc:secretbox:v1:%b:" % name.encode(), key)
        from nacl.secret import SecretBox as Box

        self._box = Box(key)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Nonce, then ciphertext with its tag."""
        return bytes(self._box.encrypt(plain, os.urandom(_BOX_NONCE)))

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The reverse."""
        from nacl.exceptions import CryptoError

        try:
            return self._box.decrypt(sealed)
        except (CryptoError, ValueError):
            raise Unreadable("message authentication failed") from None
