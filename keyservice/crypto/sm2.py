# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""SM2 signatures (GB/T 32918.2) on sm2p256v1 (GB/T 32918.5) with SM3: checked first, then verified.

Everything that decides what a well-formed key, digest and signature is stands here, once, and runs
before any engine does the arithmetic.
"""

from __future__ import annotations

from keyservice.core.errors import ConfigurationError, UkeyFailed

from .engine import Backend, EngineUnavailable
from .gmssl_engine import Gmssl
from .openssl import OpenSsl
from .sm3 import sm3

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0

POINT_BYTES = 64  #: X ‖ Y, big-endian, without the leading 04
SIGNATURE_BYTES = 64  #: r ‖ s, big-endian
DIGEST_BYTES = 32
DEFAULT_ID = b"1234567812345678"  #: GM/T 0009-2012, section 10
ID_MAX = 8191  #: bytes: ENTL counts bits in two bytes

_CURVE = b"".join(number.to_bytes(32, "big") for number in (A, B, GX, GY))

# GB/T 32918.5-2017, annex A.2
_VECTOR_POINT = bytes.fromhex(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
_VECTOR_MESSAGE = b"message digest"
_VECTOR_SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)


def check_point(point: bytes) -> None:
    """Raise :class:`UkeyFailed` unless `point` is X ‖ Y, 64 bytes, on the curve.

    The cofactor is 1 and 64 bytes cannot spell the point at infinity, so this is all of
    GB/T 32918.1, section 6.2.2.
    """
    if not _on_curve(point):
        raise UkeyFailed("The public key is not a point of the SM2 curve")


def digest(point: bytes, message: bytes, distid: bytes = DEFAULT_ID) -> bytes:
    """e = SM3(ZA ‖ M), 32 bytes (GB/T 32918.2, sections 5.5 and 6.1): what a ukey signs.

    `point` is 64 bytes, `distid` at most 8191.
    """
    if len(point) != POINT_BYTES or len(distid) > ID_MAX:
        raise ValueError("a point has 64 bytes, a distinguishing id at most 8191")
    za = sm3((len(distid) * 8).to_bytes(2, "big"), distid, _CURVE, point)
    return sm3(za, message)


class Engine:
    """A proven backend behind the checks that no backend makes for us."""

    def __init__(self, backend: Backend) -> None:
        """Prove `backend` with the standard's vector, or raise :class:`EngineUnavailable`."""
        self._backend = backend
        self.name = backend.name
        spoilt = bytearray(_VECTOR_SIGNATURE)
        spoilt[-1] ^= 1
        if not self.verify(_VECTOR_POINT, _VECTOR_MESSAGE, _VECTOR_SIGNATURE):
            raise EngineUnavailable("rejects the signature of GB/T 32918.5, annex A")
        if self.verify(_VECTOR_POINT, _VECTOR_MESSAGE, bytes(spoilt)):
            raise EngineUnavailable("accepts a wrong signature")

    def verify(
        self, point: bytes, message: bytes, signature: bytes, *, distid: bytes = DEFAULT_ID
    ) -> bool:
        """Whether `signature` (r ‖ s, 64 bytes) signs `message` under `point` (X ‖ Y, 64 bytes).

        Anything malformed is False, never an exception. About 0.2 ms with OpenSSL, 7 with gmssl.
        """
        if len(point) != POINT_BYTES:
            return False
        return self.verify_digest(point, digest(point, message, distid), signature)

    def verify_digest(self, point: bytes, e: bytes, signature: bytes) -> bool:
        """Like :meth:`verify`, over the 32-byte `e` of :func:`digest`."""
        if len(e) != DIGEST_BYTES or len(signature) != SIGNATURE_BYTES or not _on_curve(point):
            return False
        r = int.from_bytes(signature[:32], "big")
        s = int.from_bytes(signature[32:], "big")
        if not (1 <= r < N and 1 <= s < N) or r + s == N:
            return False
        return self._backend.verify(point, e, r, s) is True


#: In the order in which ``auto`` tries them.
_BACKENDS: dict[str, type[OpenSsl | Gmssl]] = {OpenSsl.name: OpenSsl, Gmssl.name: Gmssl}


def engine(name: str = "auto") -> Engine:
    """The engine called `name`, or with ``auto`` the first that works on this host.

    Raises :class:`ConfigurationError`, which says why each engine tried does not work.
    """
    if name != "auto" and name not in _BACKENDS:
        raise ConfigurationError(
            f"crypto.sm2 is auto, openssl or gmssl, not {name!r}", key="crypto.sm2"
        )
    reasons = []
    for candidate in _BACKENDS if name == "auto" else (name,):
        try:
            return Engine(_BACKENDS[candidate]())
        except EngineUnavailable as error:
            reasons.append(f"{candidate}: {error}")
    raise ConfigurationError("No SM2 engine works. " + "; ".join(reasons), key="crypto.sm2")


def survey() -> dict[str, str]:
    """Each engine's name, and why it does not work here (empty where it does)."""
    result = {}
    for name, backend in _BACKENDS.items():
        try:
            Engine(backend())
            result[name] = ""
        except EngineUnavailable as error:
            result[name] = str(error)
    return result


class Sm2:
    """The algorithm; see :class:`keyservice.crypto.algorithms.Algorithm`.

    Keys are X ‖ Y, signatures r ‖ s, both 64 bytes. One engine verifies for the whole process.
    """

    name = "sm2"

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def use(self, name: str) -> Engine:
        """From now on, have the engine called `name` verify; see :func:`engine`."""
        self._engine = engine(name)
        return self._engine

    @property
    def engine(self) -> Engine:
        """The one that verifies: the first that works, if none was chosen."""
        return self._engine or self.use("auto")

    def check(self, key: bytes) -> None:
        check_point(key)

    def has_form(self, key: bytes) -> bool:
        return len(key) == POINT_BYTES

    def to_sign(self, key: bytes, message: bytes) -> bytes:
        """e, 32 bytes, with the default id: the ukey knows neither ZA nor message."""
        check_point(key)
        return digest(key, message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return self.engine.verify(key, message, signature)

    def fingerprint(self, key: bytes) -> str:
        """SM3 of X ‖ Y."""
        return sm3(key).hex()


SM2 = Sm2()


def _on_curve(point: bytes) -> bool:
    if len(point) != POINT_BYTES:
        return False
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    return x < P and y < P and (y * y - (x * x + A) * x - B) % P == 0
