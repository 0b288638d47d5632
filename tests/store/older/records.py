# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The one key of a person."""

from __future__ import annotations

from dataclasses import dataclass

from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey


@dataclass(frozen=True, slots=True)
class Binding:
    """The ukey `serial`, which holds the key `public_key`, is `user`'s."""

    user: str  #: ``pw_name``
    uid: int
    serial: str
    kind: str  #: the ukey's kind, by its driver's name
    application: str
    container: str
    algorithm: str  #: of the key, by its name in ``crypto.algorithms``
    public_key: str  #: hexadecimal; X ‖ Y for ``sm2``
    attested: bool  #: whether an issuer's certificate vouches that the key was made on the ukey
    bound_at: str  #: UTC, ISO 8601
    bound_by: int  #: the login uid, or else the uid, of the person who bound it

    @property
    def key(self) -> PublicKey:
        return PublicKey(self.algorithm, bytes.fromhex(self.public_key))

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, 64 hexadecimal digits: a revocation names it."""
        return algorithms.fingerprint(self.key)
