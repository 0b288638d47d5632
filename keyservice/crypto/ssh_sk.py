# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Keys of FIDO authenticators as ssh uses them (``sk-`` keys). They are for ssh alone: what such a
key signs has the authenticator's own form, and sshd verifies it."""

from __future__ import annotations

import hashlib

from keyservice.core.errors import UkeyFailed

from .ssh_wire import NoSshKey, parse


class SecurityKey:
    """See :class:`keyservice.crypto.algorithms.Algorithm`. `key` is encoded as ssh spells it, for
    SubjectPublicKeyInfo has no place for the application."""

    def __init__(self, name: str, type_: str) -> None:
        self.name, self._type = name, type_

    def check(self, key: bytes) -> None:
        if not self.has_form(key):
            raise UkeyFailed("The public key is no sk- key")

    def has_form(self, key: bytes) -> bool:
        try:
            found = parse(key, self._type).key
        except NoSshKey:
            return False
        return found is not None and (found.algorithm, found.encoded) == (self.name, key)

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        raise UkeyFailed("An sk- key signs for ssh alone")

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return False

    def fingerprint(self, key: bytes) -> str:
        return hashlib.sha256(key).hexdigest()


SK_ED25519 = SecurityKey("sk-ed25519", "sk-ssh-ed25519@openssh.com")
SK_P256 = SecurityKey("sk-p256", "sk-ecdsa-sha2-nistp256@openssh.com")
