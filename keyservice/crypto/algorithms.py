# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The algorithms of ukeys' key pairs, a line each. Only this module tells them apart: all floors
above ask it.

Each function raises :class:`UkeyFailed` for a key of an algorithm that is not known.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import import_module
from typing import Protocol

from keyservice.core.errors import UkeyFailed

from .key import PublicKey

#: The form of a fingerprint, whatever the algorithm.
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
#: Bytes of a public key of any algorithm: RSA with 4096 bits has 550.
ENCODED_MAX = 1024


class Algorithm(Protocol):
    """How keys of one kind sign. `key` is encoded as records hold it: X ‖ Y, 64 bytes, for ``sm2``;
    the blob that ssh sends for FIDO tokens; SubjectPublicKeyInfo (RFC 5280), DER, for all others.
    Safe from several threads."""

    @property
    def name(self) -> str:
        """As records and the configuration spell it."""
        ...

    def check(self, key: bytes) -> None:
        """Raise :class:`UkeyFailed` unless `key` is one of this algorithm, in its one encoding."""
        ...

    def has_form(self, key: bytes) -> bool:
        """Whether `key` has the length, or the structure, of this algorithm's keys. The key in a
        record that was written here always has. Cheap, unlike :meth:`check`."""
        ...

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        """What a ukey has to sign with the pair of `key`, so that `message` is signed."""
        ...

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` signs `message`. Anything malformed is False, never an exception."""
        ...

    def fingerprint(self, key: bytes) -> str:
        """What a revocation names: 64 hexadecimal digits."""
        ...


#: All that are known, a line each: the name, and the module and name of what it is there. Each is
#: loaded with its first key: what all but SM2 need is a tenth of the service's memory.
_KNOWN = {
    "sm2": ("sm2", "SM2"),
    "p256": ("ecdsa", "P256"),
    "p384": ("ecdsa", "P384"),
    "rsa": ("rsa", "RSA"),
    "ed25519": ("ed25519", "ED25519"),
}
#: Those of the keys that log in with a ukey in a reader here.
ALGORITHMS = frozenset(_KNOWN)
#: Those that only sshd verifies.
_OF_SSH = {"sk-ed25519": ("sk", "SK_ED25519"), "sk-p256": ("sk", "SK_P256")}
#: Those of the keys that sshd may have verified: of all ukeys but SM2's, which ssh has not.
SSH_ALGORITHMS = (ALGORITHMS | frozenset(_OF_SSH)) - {"sm2"}


def check(key: PublicKey) -> None:
    """Raise :class:`UkeyFailed` unless `key` can verify something."""
    if len(key.encoded) > ENCODED_MAX:
        raise UkeyFailed("The public key is too long")
    _of(key).check(key.encoded)


def has_form(key: PublicKey) -> bool:
    """Whether `key` has the form of a key, not whether it can verify anything."""
    return len(key.encoded) <= ENCODED_MAX and _of(key).has_form(key.encoded)


def to_sign(key: PublicKey, message: bytes) -> bytes:
    """What a ukey has to sign with the pair of `key`, so that `message` is signed."""
    return _of(key).to_sign(key.encoded, message)


def verify(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether `signature` signs `message`. Anything malformed is False."""
    return _of(key).verify(key.encoded, message, signature)


@lru_cache(maxsize=4096)
def fingerprint(key: PublicKey) -> str:
    """64 hexadecimal digits: SM3 of an ``sm2`` key, SHA-256 of any other.

    The result is kept: to prove that somebody has no ukey takes the fingerprint of every bound key.
    """
    return _of(key).fingerprint(key.encoded)


def engines() -> dict[str, str]:
    """What does the arithmetic, for ``ukey status``, of the one algorithm that has a choice."""
    from .sm2 import SM2  # here: it loads libcrypto, and names alone are asked for at boot

    return {f"{SM2.name}_engine": SM2.engine.name}


def _of(key: PublicKey) -> Algorithm:
    if key.algorithm not in ALGORITHMS | SSH_ALGORITHMS:
        raise UkeyFailed("The ukey's key is of an unknown algorithm")
    return _loaded(key.algorithm)


@cache
def _loaded(name: str) -> Algorithm:
    module, attribute = (_KNOWN | _OF_SSH)[name]
    found: Algorithm = getattr(import_module(f".{module}", __package__), attribute)
    return found
