# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Public keys as ssh spells them (RFC 4253, section 6.6; RFC 5656; RFC 8709; OpenSSH's PROTOCOL.u2f
and PROTOCOL.certkeys): decoding only. Every length is checked, and nothing is left over.

Standard library only: the service loads this at its start.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from keyservice.core.reasons import Reason, Unfit

from .key import PublicKey

#: Bytes of a key or a certificate; ``AUTH_INFO_MAX`` in Base64 has fewer.
BLOB_MAX = 4096
#: Bits of an RSA modulus that ``rsa`` takes.
RSA_MIN, RSA_MAX = 2048, 4096
_CERTIFICATE = "-cert-v01@openssh.com"
_USER_CERTIFICATE = 1  # SSH_CERT_TYPE_USER
#: ``ssh:`` and what somebody has put behind it.
_APPLICATION = re.compile(rb"[!-~]{1,255}")

#: SubjectPublicKeyInfo up to the key: RFC 8410 and RFC 5480.
_ED25519 = bytes.fromhex("302a300506032b6570032100")
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_P384 = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")
_RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")


class NoSshKey(Unfit):
    """The text or the bytes are no public key of ssh's."""


@dataclass(frozen=True, slots=True)
class SshKey:
    """A public key; of a certificate, the key that it certifies."""

    type: str  #: ssh's name of it
    blob: bytes  #: as ssh spells it
    key: PublicKey | None  #: as records hold it; None for a key that no record here may hold
    certified: bool = False  #: it came in a certificate

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"SHA256:{digest}"


class _Reader:
    """Reads what RFC 4251, section 5, calls string, mpint, uint32 and uint64."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def at(self) -> int:
        return self._at

    def since(self, start: int) -> bytes:
        return self._data[start : self._at]

    def raw(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise NoSshKey("a key is cut off")
        self._at += length
        return self._data[self._at - length : self._at]

    def string(self) -> bytes:
        return self.raw(self.uint32())

    def uint32(self) -> int:
        return int.from_bytes(self.raw(4), "big")

    def exactly(self, length: int) -> bytes:
        value = self.string()
        if len(value) != length:
            raise NoSshKey("a key is too short or too long")
        return value

    def positive(self) -> bytes:
        """An mpint over 0, in its one spelling (RFC 4251): the bytes as DER has them too."""
        value = self.string()
        padded = value[:1] == b"\0"
        if not value[padded:] or value[0] & 0x80 or (padded and not value[1] & 0x80):
            raise NoSshKey("a number of a key is not spelt as it should be")
        return value

    def end(self) -> None:
        if self._at != len(self._data):
            raise NoSshKey("bytes are left over behind a key")


def parse(blob: bytes, type_: str) -> SshKey:
    """The key in `blob`, which must be of the type that the text beside it names.

    Raises :class:`NoSshKey` if it is malformed, or of a type that OpenSSH does not know.
    """
    if len(blob) > BLOB_MAX:
        raise NoSshKey("a key is too long")
    reader = _Reader(blob)
    if reader.string() != type_.encode("ascii", "replace"):
        raise NoSshKey("a key is of another type than the one beside it")
    if not type_.endswith(_CERTIFICATE):
        key = _key(reader, type_)
        reader.end()
        return SshKey(type_, blob, key)
    reader.string()  # the nonce
    plain = type_.removesuffix(_CERTIFICATE)
    plain += "@openssh.com" if plain.startswith("sk-") else ""
    start = reader.at
    key = _key(reader, plain)
    fields = reader.since(start)
    _certificate(reader)
    return SshKey(plain, _string(plain.encode()) + fields, key, certified=True)


def spell(key: PublicKey) -> SshKey:
    """`key`, which has the form of its algorithm, as ssh spells it.

    Raises :class:`NoSshKey` for one that ssh has no name for, such as SM2's.
    """
    encoded = key.encoded
    match key.algorithm:
        case "ed25519":
            type_, parts = "ssh-ed25519", [encoded[len(_ED25519) :]]
        case "p256":
            type_, parts = "ecdsa-sha2-nistp256", [b"nistp256", encoded[len(_P256) :]]
        case "p384":
            type_, parts = "ecdsa-sha2-nistp384", [b"nistp384", encoded[len(_P384) :]]
        case "rsa":
            # SEQUENCE { algorithm, BIT STRING { 00, SEQUENCE { modulus, exponent } } }
            _, both = _der_items(_der_items(encoded)[0])
            modulus, exponent = _der_items(_der_items(both[1:])[0])
            type_, parts = "ssh-rsa", [exponent, modulus]
        case "sk-ed25519" | "sk-p256":
            return SshKey(_Reader(encoded).string().decode("ascii"), encoded, key)
        case _:
            raise NoSshKey(Reason.SSH_TYPE, type=key.algorithm)
    return SshKey(type_, b"".join(map(_string, [type_.encode(), *parts])), key)


def _certificate(reader: _Reader) -> None:
    """What stands behind the key in a certificate. sshd has checked who signed it, for whom and
    how long: here only its form is."""
    reader.raw(8)  # the serial
    if reader.uint32() != _USER_CERTIFICATE:
        raise NoSshKey("a certificate is none for people")
    reader.string()  # the key id
    reader.string()  # the principals
    reader.raw(16)  # from when and until when
    for _ in ("critical options", "extensions", "reserved", "the authority's key", "signature"):
        reader.string()
    reader.end()


def _key(reader: _Reader, type_: str) -> PublicKey | None:
    decode = _DECODERS.get(type_)
    if decode is None:
        raise NoSshKey(Reason.SSH_TYPE, type=type_)
    return decode(reader)


def _ed25519(reader: _Reader) -> PublicKey:
    return PublicKey("ed25519", _ED25519 + reader.exactly(32))


def _rsa(reader: _Reader) -> PublicKey | None:
    exponent, modulus = reader.positive(), reader.positive()
    if not RSA_MIN <= int.from_bytes(modulus, "big").bit_length() <= RSA_MAX:
        return None
    numbers = _der(0x30, _der(0x02, modulus) + _der(0x02, exponent))
    return PublicKey("rsa", _der(0x30, _RSA_ALGORITHM + _der(0x03, b"\0" + numbers)))


def _point(curve: str, size: int) -> Callable[[_Reader], bytes]:
    def point(reader: _Reader) -> bytes:
        if reader.string() != curve.encode():
            raise NoSshKey("a key is of another curve than its type")
        found = reader.exactly(1 + 2 * size)
        if found[0] != 4:
            raise NoSshKey("a key is no uncompressed point")
        return found

    return point


_p256, _p384, _p521 = _point("nistp256", 32), _point("nistp384", 48), _point("nistp521", 66)


def _no_p521(reader: _Reader) -> None:
    _p521(reader)


def _security_key(
    name: str, type_: str, key: Callable[[_Reader], bytes]
) -> Callable[[_Reader], PublicKey]:
    """A key of a FIDO authenticator (PROTOCOL.u2f): beside the key, the application that it is for.
    SubjectPublicKeyInfo has no place for that: records hold it as ssh spells it."""

    def decode(reader: _Reader) -> PublicKey:
        start = reader.at
        key(reader)
        application = reader.string()
        if not _APPLICATION.fullmatch(application):
            raise NoSshKey("a key's application is missing, too long or odd")
        return PublicKey(name, _string(type_.encode()) + reader.since(start))

    return decode


_DECODERS: dict[str, Callable[[_Reader], PublicKey | None]] = {
    "ssh-ed25519": _ed25519,
    "ssh-rsa": _rsa,
    "ecdsa-sha2-nistp256": lambda reader: PublicKey("p256", _P256 + _p256(reader)),
    "ecdsa-sha2-nistp384": lambda reader: PublicKey("p384", _P384 + _p384(reader)),
    "ecdsa-sha2-nistp521": _no_p521,
    "sk-ssh-ed25519@openssh.com": _security_key(
        "sk-ed25519", "sk-ssh-ed25519@openssh.com", lambda reader: reader.exactly(32)
    ),
    "sk-ecdsa-sha2-nistp256@openssh.com": _security_key(
        "sk-p256", "sk-ecdsa-sha2-nistp256@openssh.com", _p256
    ),
}


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _der(tag: int, content: bytes) -> bytes:
    """X.690, 8.1.3, for up to 65535 bytes."""
    length = len(content)
    if length < 0x80:
        head = bytes([tag, length])
    elif length < 0x100:
        head = bytes([tag, 0x81, length])
    else:
        head = bytes([tag, 0x82]) + length.to_bytes(2, "big")
    return head + content


def _der_items(data: bytes) -> list[bytes]:
    """The contents of the items that `data` consists of, in DER."""
    found = []
    while data:
        length, head = data[1], 2
        if length >= 0x80:
            head += length & 0x7F
            length = int.from_bytes(data[2:head], "big")
        found.append(data[head : head + length])
        data = data[head + length :]
    return found
