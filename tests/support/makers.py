# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Makers of ukeys: roots, and what they sign; each lie that a certificate can tell is an argument.
Pairs of elliptic curves are made quickly; those of RSA are made once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.pivcard.keys import Algorithm, EcKey, Key, RsaKey

FROM, UNTIL = datetime(2016, 3, 14), datetime(2052, 4, 17)  #: as on a YubiKey
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
#: A ukey's pair for its own certificate, and the certificate.
Attester = tuple[Key, bytes]


@cache
def rsa_pair(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_pair() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Maker:
    """A maker with its pair and its own root."""

    name: str
    pair: Private
    root: bytes  #: DER

    def put(self, folder: Path, name: str = "maker.pem") -> Path:
        """Put the root into the folder of makers, which is made if it is missing."""
        folder.mkdir(mode=0o755, exist_ok=True)
        certificate = x509.load_der_x509_certificate(self.root)
        path = folder / name
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        path.chmod(0o644)
        return path

    def attester(self, pair: Private | None = None, **lies: object) -> Attester:
        """A ukey's own pair and certificate. `lies`: as for :func:`certificate`."""
        pair = pair or ec_pair()
        key = RsaKey(pair) if isinstance(pair, rsa.RSAPrivateKey) else EcKey(pair, Algorithm.P256)
        own = certificate(pair, "Own", self.pair, self.name, **{"path": 0, **lies})  # type: ignore[arg-type]
        return key, own


def maker(name: str = "Maker", pair: Private | None = None, **lies: object) -> Maker:
    """`lies`: as for :func:`certificate`."""
    pair = pair or ec_pair()
    root = certificate(pair, name, pair, name, **{"path": 1, **lies})  # type: ignore[arg-type]
    return Maker(name, pair, root)


def certificate(
    pair: Private,
    name: str,
    by: Private,
    by_name: str,
    *,
    ca: bool | None = True,
    path: int | None = None,
    usage: bool | None = None,
    since: datetime = FROM,
    until: datetime = UNTIL,
    digest: hashes.HashAlgorithm | None = None,
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> bytes:
    """A certificate for `pair`, signed by `by`, DER. `ca`: None leaves the basic constraints out.
    `usage`: whether the use of the key is to sign certificates. `more`: extensions, and whether
    each is critical."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(by_name))
        .public_key(pair.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    extensions = list(more)
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca, path if ca else None), True))
    if usage is not None:
        extensions.append((_usage(signs=usage), True))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by, digest or hashes.SHA256()).public_bytes(Encoding.DER)


def named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
