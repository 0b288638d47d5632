# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a ukey is made to sign, byte for byte. No signature for one purpose serves another.

Numbers are big-endian; ``text(t)`` is ``length u16 ‖ UTF-8``::

    login   "ukey-login-v1\\0"  ‖ nonce[32] ‖ facts     one login
    bind    "ukey-bind-v1\\0"   ‖ nonce[32] ‖ facts     the trial at binding and unbinding
    verify  "ukey-verify-v1\\0" ‖ length u16 ‖ challenge[32..64]

    facts = text(machine id as 32 hexadecimal digits) ‖ text(pw_name) ‖ 0004 ‖ uid u32
            ‖ text(serial) ‖ text(PAM service) ‖ 0010 ‖ session id[16]

The algorithm decides what the ukey signs for the whole message M: e = SM3(ZA ‖ M) for ``sm2``.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from enum import Enum

from keyservice.contract.names import SESSION_ID_BYTES
from keyservice.core.errors import BadRequest
from keyservice.core.username import Person

NONCE_BYTES = 32
CHALLENGE_MIN, CHALLENGE_MAX = 32, 64  #: bytes of a challenge from outside
_VERIFY = b"ukey-verify-v1\0"


class Purpose(Enum):
    """What a signature is for: the message's prefix."""

    LOGIN = b"ukey-login-v1\0"
    BIND = b"ukey-bind-v1\0"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that the signature covers, beside the nonce."""

    machine_id: str
    person: Person
    serial: str
    service: str
    session_id: bytes

    def encode(self) -> bytes:
        if len(self.session_id) != SESSION_ID_BYTES:
            raise ValueError(f"a session id has {SESSION_ID_BYTES} bytes")
        parts = (
            self.machine_id.encode(),
            self.person.name.encode("utf-8", "surrogateescape"),
            struct.pack(">I", self.person.uid),
            self.serial.encode(),
            self.service.encode(),
            self.session_id,
        )
        return b"".join(map(_prefixed, parts))


class Challenge:
    """One fresh message. It can be verified once: the nonce is gone before the verifying starts."""

    __slots__ = ("_facts", "_nonce", "_purpose")

    def __init__(self, purpose: Purpose, facts: Facts) -> None:
        self._purpose, self._facts = purpose, facts
        self._nonce: bytes | None = secrets.token_bytes(NONCE_BYTES)

    def message(self) -> bytes:
        """The message to be signed. Raises LookupError once it was redeemed."""
        if self._nonce is None:
            raise LookupError("a challenge is verified once")
        return message(self._purpose, self._nonce, self._facts)

    def redeem(self) -> bytes:
        """The message, rebuilt, to verify against; for the first and last time."""
        rebuilt = self.message()
        self._nonce = None
        return rebuilt


def message(purpose: Purpose, nonce: bytes, facts: Facts) -> bytes:
    """The message in full; see the top of this file."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
    return purpose.value + nonce + facts.encode()


def foreign_message(challenge: bytes) -> bytes:
    """The message that a signature over somebody else's `challenge` (32–64 bytes) must cover.

    Raises :class:`BadRequest` for another length.
    """
    if not CHALLENGE_MIN <= len(challenge) <= CHALLENGE_MAX:
        raise BadRequest(f"a challenge has {CHALLENGE_MIN} to {CHALLENGE_MAX} bytes")
    return _VERIFY + _prefixed(challenge)


def _prefixed(part: bytes) -> bytes:
    return struct.pack(">H", len(part)) + part
