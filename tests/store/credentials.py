# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Keys of each algorithm and purpose, as records hold them."""

from __future__ import annotations

import base64
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.store.records import Binding, Purpose

from .conftest import binding

POINT = ec.derive_private_key(11, ec.SECP256R1()).public_key()


def spki(algorithm: str, number: int) -> bytes:
    """A key of that algorithm. An RSA key is only the form of one: to make one takes seconds."""
    public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
    match algorithm:
        case "p256":
            public = ec.derive_private_key(number, ec.SECP256R1()).public_key()
        case "p384":
            public = ec.derive_private_key(number, ec.SECP384R1()).public_key()
        case "ed25519":
            seed = number.to_bytes(32, "big")
            public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
        case _:
            public = rsa.RSAPublicNumbers(65537, (1 << 4095) + 2 * number + 1).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


SK_ED25519 = strings(b"sk-ssh-ed25519@openssh.com", bytes(range(32)), b"ssh:")
SK_P256 = strings(
    b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"nistp256",
    POINT.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    b"ssh:work",
)


def spare(
    number: int = 2, algorithm: str = "p256", label: str = "spare", **more: object
) -> Binding:
    """Another ukey of alice's, a PIV card."""
    encoded = spki(algorithm, number).hex()
    made = replace(binding(serial=f"PIV{number}"), kind="piv", application="piv", container="9a")
    made = replace(made, algorithm=algorithm, public_key=encoded, label=label)
    return replace(made, **more)  # type: ignore[arg-type]


def of_ssh(number: int = 3, algorithm: str = "ed25519", label: str = "") -> Binding:
    """A key of alice's that root has added from a file."""
    made = spare(number, algorithm, label, purpose=Purpose.SSH, kind="ssh")
    return replace(made, serial="", application="", container="")


def of_token(blob: bytes = SK_ED25519) -> Binding:
    """A key of alice's on a FIDO token."""
    algorithm = "sk-ed25519" if b"ed25519" in blob else "sk-p256"
    return replace(of_ssh(), kind="sk", algorithm=algorithm, public_key=blob.hex())


def authorized(blob: bytes) -> str:
    return base64.b64encode(blob).decode()
