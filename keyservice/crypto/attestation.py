# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a ukey's maker vouches that a key was made on the ukey: three certificates (RFC 5280).

The maker's is an administrator's choice. The ukey's own is signed by it, and signs what the ukey
says of a key, in the form that a YubiKey has: the key's certificate with extensions for the ukey's
serial and for what the key's use asks for. Both of the ukey's are bytes from a device. They are
taken apart by the parser of ``cryptography``, which is memory-safe; names are compared and
signatures verified before anything else in them is looked at, so that no key from a device is used
that nobody has signed.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier, SignatureAlgorithmOID

from keyservice.core.errors import CryptoMissing
from keyservice.core.reasons import Reason, Unfit

from .key import PublicKey
from .pyca import needs
from .rsa import BITS_MAX, BITS_MIN

#: Bytes of a certificate that a ukey shows. One of RSA with 4096 bits throughout has about 1500.
CERTIFICATE_MAX = 2000

_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----"
)
#: Digests that are still good; a ukey's own signature is with SHA-256.
_DIGESTS = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_RSA_WITH = (
    SignatureAlgorithmOID.RSA_WITH_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512,
)
_ECDSA_WITH = (
    SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512,
)
_CURVES = (SECP256R1.name, SECP384R1.name)
#: Yubico's extensions of what a ukey says of a key: the serial, a DER INTEGER; two bytes, the
#: policies for PIN and touch.
_SERIAL = ObjectIdentifier("1.3.6.1.4.1.41482.3.7")
_POLICIES = ObjectIdentifier("1.3.6.1.4.1.41482.3.8")
_PIN_NEVER = 1
#: Critical extensions that are understood here.
_UNDERSTOOD = frozenset((ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE))

_IssuerKey = RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Maker:
    """A certificate that an administrator trusts to sign ukeys' own."""

    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Own:
    """A ukey's own certificate, which a maker has signed."""

    certificate: x509.Certificate

    def check(self, statement: bytes, key: PublicKey, serial: str, now: datetime) -> None:
        """Return only if the ukey's maker vouches that `key` was made on the ukey `serial`, and
        signs nothing without the PIN. `statement` is what the ukey says of the key, DER.

        Raises :class:`Unfit` with the reason.
        """
        with _making_sense():
            said = _load(statement)
            if said.issuer != self.certificate.subject:
                raise Unfit(Reason.ATTEST_SIGNATURE)
            if not _signed(said, _key(self.certificate)):
                raise Unfit(Reason.ATTEST_SIGNATURE)
            _check_dates(said, now)
            found = _extensions(said)
            _check_policies(found.get(_POLICIES))
            _check_serial(found.get(_SERIAL), serial)
            if _key_of(said) != key.encoded:
                raise Unfit(Reason.ATTEST_KEY)


def own(certificate: bytes, makers: Sequence[Maker], now: datetime) -> Own:
    """The ukey's own certificate, DER, if one of `makers` has signed it, and it may sign.

    Raises :class:`Unfit` with the reason.
    """
    with _making_sense():
        shown = _load(certificate)
        for maker in makers:
            if shown.issuer != maker.certificate.subject:
                continue
            if not _signed(shown, _key(maker.certificate)):
                continue
            _check_dates(maker.certificate, now)
            _check_dates(shown, now)
            _check_may_sign(shown, below=0)
            _key(shown)
            return Own(shown)
    raise Unfit(Reason.ATTEST_STRANGER)


def makers(content: bytes) -> list[Maker]:
    """The makers' certificates in a file: PEM, of which there may be several, or one in DER.

    Raises :class:`Unfit`, in English, for a file that has none, and for one that may not sign.
    """
    found = [_unpacked(block) for block in _PEM.findall(content)] or [content]
    made = []
    for each in found:
        try:
            with _making_sense():
                certificate = x509.load_der_x509_certificate(each)
                _key(certificate)
                _check_may_sign(certificate, below=1)
        except Unfit as error:
            raise Unfit(_FILE_TEXTS.get(str(error.facts.get("why")), _NO_CERTIFICATE)) from None
        made.append(Maker(certificate))
    return made


def expired(maker: Maker, now: datetime) -> bool:
    """Whether it is not valid at `now`: nothing that it has signed counts then."""
    try:
        _check_dates(maker.certificate, now)
    except Unfit:
        return True
    return False


_NO_CERTIFICATE = "it holds no certificate, or one that makes no sense"
_FILE_TEXTS = {
    Reason.ATTEST_CA.value: "it holds a certificate that may not sign a ukey's own: it is no CA's,"
    " or its path is too short",
    Reason.ATTEST_WEAK.value: "it holds a certificate whose key is too weak, or of a kind that is"
    " not known here",
}


def _unpacked(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error:
        raise Unfit(_NO_CERTIFICATE) from None


@contextmanager
def _making_sense() -> Iterator[None]:
    """Whatever the parser raises, it is one reason: the certificate is not to be believed. Which
    errors it has is not documented, and some are those of its own tables."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of serial numbers and the like, which mean nothing
            yield
    except (Unfit, CryptoMissing):
        raise
    except UnsupportedAlgorithm:
        raise Unfit(Reason.ATTEST_WEAK) from None
    except Exception:
        raise Unfit(Reason.ATTEST_NONSENSE) from None


def _load(certificate: bytes) -> x509.Certificate:
    if not 0 < len(certificate) <= CERTIFICATE_MAX:
        raise Unfit(Reason.ATTEST_NONSENSE)
    return x509.load_der_x509_certificate(certificate)


def _signed(certificate: x509.Certificate, key: _IssuerKey) -> bool:
    """Whether the pair of `key` has signed it. Raises :class:`Unfit` for a digest that is weak."""
    algorithm, digest = certificate.signature_algorithm_oid, certificate.signature_hash_algorithm
    if not isinstance(digest, _DIGESTS):
        raise Unfit(Reason.ATTEST_WEAK)
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        if isinstance(key, RSAPublicKey):
            if algorithm not in _RSA_WITH:
                return False
            with needs("RSA"):
                key.verify(signature, signed, PKCS1v15(), digest)
        else:
            if algorithm not in _ECDSA_WITH:
                return False
            with needs(key.curve.name, UnsupportedAlgorithm):
                key.verify(signature, signed, ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def _key(certificate: x509.Certificate) -> _IssuerKey:
    """The key of a certificate that signs others. Raises :class:`Unfit` for one that is weak."""
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and BITS_MIN <= key.key_size <= BITS_MAX:
        return key
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    raise Unfit(Reason.ATTEST_WEAK)


def _check_may_sign(certificate: x509.Certificate, *, below: int) -> None:
    """It is a CA's (RFC 5280, 4.2.1.9), and so many CAs may follow below it."""
    found = _extensions(certificate)
    basic, usage = found.get(ExtensionOID.BASIC_CONSTRAINTS), found.get(ExtensionOID.KEY_USAGE)
    if not isinstance(basic, x509.BasicConstraints) or not basic.ca:
        raise Unfit(Reason.ATTEST_CA)
    if basic.path_length is not None and basic.path_length < below:
        raise Unfit(Reason.ATTEST_CA)
    if usage is not None and not (isinstance(usage, x509.KeyUsage) and usage.key_cert_sign):
        raise Unfit(Reason.ATTEST_CA)


def _extensions(
    certificate: x509.Certificate,
) -> dict[ObjectIdentifier, x509.ExtensionType]:
    """Raises :class:`Unfit` for a critical one that is not understood (RFC 5280, 4.2)."""
    found: Iterable[x509.Extension[x509.ExtensionType]] = certificate.extensions
    told = {}
    for each in found:
        if each.critical and each.oid not in _UNDERSTOOD:
            raise Unfit(Reason.ATTEST_NONSENSE)
        told[each.oid] = each.value
    return told


def _check_dates(certificate: x509.Certificate, now: datetime) -> None:
    """A ukey copies its own certificate's dates, which end in decades, into what it says."""
    first, last = _dates(certificate)
    if not first <= now <= last:
        raise Unfit(Reason.ATTEST_DATES)


def _dates(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """UTC. The package tells them with their zone as of version 42, and without it until then."""
    first, last = (
        getattr(certificate, f"{name}_utc", None) or getattr(certificate, name).replace(tzinfo=UTC)
        for name in ("not_valid_before", "not_valid_after")
    )
    return first, last


def _check_policies(extension: x509.ExtensionType | None) -> None:
    """Without this extension it is not what a ukey says of a key: a maker signs other things too.
    A policy that is not known here (fingers, in 2024) is one that asks for something."""
    if not isinstance(extension, x509.UnrecognizedExtension) or len(extension.value) != 2:
        raise Unfit(Reason.ATTEST_POLICY)
    if extension.value[0] <= _PIN_NEVER:
        raise Unfit(Reason.ATTEST_PIN)


def _check_serial(extension: x509.ExtensionType | None, serial: str) -> None:
    """Old firmware leaves it out; and a ukey without a number is known by another serial."""
    if extension is None or not serial.isascii() or not serial.isdigit() or len(serial) > 10:
        return
    value = extension.value if isinstance(extension, x509.UnrecognizedExtension) else b""
    if len(value) < 3 or value[0] != 0x02 or value[1] != len(value) - 2 or value[1] > 5:
        raise Unfit(Reason.ATTEST_NONSENSE)
    told = int.from_bytes(value[2:], "big", signed=True)
    if str(told) != serial:
        raise Unfit(Reason.ATTEST_SERIAL, other=str(told))


def _key_of(certificate: x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo, in its one encoding."""
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):  # SM2, which the package does not know
        raise Unfit(Reason.ATTEST_ALGORITHM) from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
