# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Keys of FIDO tokens as OpenSSH has them (``PROTOCOL.u2f``): sshd verifies what they sign, and
nothing here does.

SubjectPublicKeyInfo has no place for the application, which is part of what such a key signs. So
the key is the blob that ssh sends, the middle word of a line of ``authorized_keys``: the name of
its type, the curve for an elliptic one, the key, and the application, each after its length (RFC
4251, section 5).
"""

from __future__ import annotations

import hashlib

from keyservice.core.errors import UkeyFailed

#: Bytes of an application; ``ssh:`` where its owner names none.
_APPLICATION_MAX = 255
_LENGTH = 4  #: bytes of a length


class SecurityKey:
    """See :class:`keyservice.crypto.algorithms.Algorithm`."""

    def __init__(self, name: str, type_name: bytes, curve: bytes | None, size: int) -> None:
        self.name = name
        self._head = [type_name] if curve is None else [type_name, curve]
        self._size = size  #: bytes of the key; of an elliptic one, of its uncompressed point

    def check(self, key: bytes) -> None:
        if not self.has_form(key):
            raise UkeyFailed("The public key is no key of a FIDO token")

    def has_form(self, key: bytes) -> bool:
        try:
            *head, point, application = _strings(key)
        except ValueError:
            return False
        elliptic = len(head) == 2
        return (
            head == self._head
            and len(point) == self._size
            and (not elliptic or point[0] == 0x04)
            and 0 < len(application) <= _APPLICATION_MAX
        )

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        raise UkeyFailed("A key of a FIDO token signs for sshd only")

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return False

    def fingerprint(self, key: bytes) -> str:
        """The digest that ``ssh-keygen -l`` shows in base64."""
        return hashlib.sha256(key).hexdigest()


def _strings(blob: bytes) -> list[bytes]:
    """The strings of which `blob` consists. Raises ValueError if it does not."""
    found = []
    while blob:
        size = int.from_bytes(blob[:_LENGTH], "big")
        if len(blob) < _LENGTH + size:
            raise ValueError("a string is cut")
        found.append(blob[_LENGTH : _LENGTH + size])
        blob = blob[_LENGTH + size :]
    return found


SK_ED25519 = SecurityKey("sk-ed25519", b"sk-ssh-ed25519@openssh.com", None, 32)
SK_P256 = SecurityKey("sk-p256", b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", 65)
