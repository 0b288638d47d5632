# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""SM2 written again from GB/T 32918, to sign for the tests. It shares nothing with the service, so
that a misreading is not shared either. Not constant-time, not for use."""

from __future__ import annotations

import hashlib
import secrets

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
ID = b"1234567812345678"

Affine = tuple[int, int] | None


def add(left: Affine, right: Affine) -> Affine:
    """The group law in affine coordinates; None is the point at infinity."""
    if left is None or right is None:
        return right if left is None else left
    (x1, y1), (x2, y2) = left, right
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if left == right:
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


#: _COMB[i][j] = j · 256^i · G
_COMB: list[list[Affine]] = []


def times_g(k: int) -> Affine:
    """k · G by a table, built at the first call."""
    if not _COMB:
        base: Affine = G
        for _ in range(32):
            row: list[Affine] = [None]
            for _ in range(255):
                row.append(add(row[-1], base))
            _COMB.append(row)
            base = add(row[-1], base)
    total: Affine = None
    for index in range(32):
        total = add(total, _COMB[index][(k >> (8 * index)) & 255])
    return total


def key_pair() -> tuple[int, bytes]:
    """(d, X ‖ Y)."""
    d = 1 + secrets.randbelow(N - 2)
    return d, public_key(d)


def public_key(d: int) -> bytes:
    point = times_g(d)
    assert point is not None
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def digest(point: bytes, message: bytes, distid: bytes = ID) -> bytes:
    curve = b"".join(n.to_bytes(32, "big") for n in (P - 3, B, *G))
    entl = (8 * len(distid)).to_bytes(2, "big")
    za = hashlib.new("sm3", entl + distid + curve + point).digest()
    return hashlib.new("sm3", za + message).digest()


def sign(d: int, e: bytes, k: int | None = None) -> bytes:
    """r ‖ s over the digest `e`, with `k` where a vector gives it."""
    while True:
        nonce = k if k is not None else 1 + secrets.randbelow(N - 1)
        point = times_g(nonce)
        assert point is not None
        r = (int.from_bytes(e, "big") + point[0]) % N
        s = pow(1 + d, -1, N) * (nonce - r * d) % N
        if r and s and r + nonce != N:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert k is None


def der(signature: bytes) -> bytes:
    """SEQUENCE { r, s }, for the openssl command."""
    body = b""
    for half in (signature[:32], signature[32:]):
        content = half.lstrip(b"\0") or b"\0"
        if content[0] & 0x80:
            content = b"\0" + content
        body += bytes((2, len(content))) + content
    return bytes((0x30, len(body))) + body


def spki(point: bytes) -> bytes:
    """SubjectPublicKeyInfo in DER, 91 bytes."""
    prefix = "3059301306072A8648CE3D020106082A811CCF5501822D03420004"
    return bytes.fromhex(prefix) + point
