# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A PIV card with a vendor's metadata for the suite."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.ukeys.base import Container, Evidence, KeyRef
from keyservice.ukeys.piv import PIV as KIND
from tests.pivcard.keys import EcKey
from tests.pivcard.state import Reference, State, StateFile, new
from tests.pivcard.steered import Steered
from tests.support.makers import maker

from .example import Example
from .steered import SteeredDevice

PIN, PUK = b"528491", b"80352917"
ATTESTER = maker().attester()
MANAGEMENT_KEY = bytes(range(24))
REF = KeyRef("piv", "9A")
#: By SP 800-73-4, part 1, table 4b, in the order of its objects.
SLOTS = ("9A", "9C", "9D", "9E", *(f"{reference:02X}" for reference in range(0x82, 0x96)))


class _Memory(StateFile):
    """The memory of a card from the factory, without a file: that one lasts is not the suite's."""

    def __init__(self, serial: str) -> None:
        super().__init__(serial)

    def load(self) -> State:
        made = _factory()
        kept = {id(slot.key): slot.key for slot in made.slots.values()}
        copied = deepcopy(made, kept)  # a key is never changed
        copied.number = int(self.path.name)
        return copied

    def write(self, state: State) -> None: ...


@cache
def _factory() -> State:
    return new(
        pin=PIN,
        admin_pin=PUK,
        management_key=MANAGEMENT_KEY,
        pairs={"9A": "p256"},
        certificates=False,
        attester=ATTESTER,
    )


class PivDevice(SteeredDevice[Steered]):
    """See :class:`tests.ukeys.behaviour.example.Device`."""

    def __init__(self, serial: str) -> None:
        super().__init__(Steered(_Memory(serial)))

    @property
    def authorised(self) -> bool:
        """It would sign, or make a pair."""
        return self._steered.card.verified or self._steered.card.managed

    def tries(self, *, admin: bool = False) -> int:
        return self._pin(admin).left

    def set_tries(self, left: int, *, admin: bool = False) -> None:
        self._pin(admin).left = left

    def key(self, ref: KeyRef) -> bytes | None:
        key = self._key(ref)
        if key is None:
            return None
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, ref: KeyRef, data: bytes, signature: bytes) -> bool:
        key = self._key(ref)
        if key is None or len(signature) != 64:
            return False
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        der = utils.encode_dss_signature(r, s)
        try:
            key.verify(der, data, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except InvalidSignature:
            return False
        return True

    def vouches(self, ref: KeyRef, evidence: Evidence) -> bool:
        said = x509.load_der_x509_certificate(evidence.statement)
        pair, own = ATTESTER
        assert isinstance(pair, EcKey)
        digest = ec.ECDSA(hashes.SHA256())
        pair.private.public_key().verify(said.signature, said.tbs_certificate_bytes, digest)
        info = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        return evidence.own == own and said.public_key().public_bytes(*info) == self.key(ref)

    def _key(self, ref: KeyRef) -> ec.EllipticCurvePublicKey | None:
        if ref.application != "piv" or ref.container not in SLOTS:
            return None
        slot = self._steered.card.state.slots.get(int(ref.container, 16))
        if slot is None:
            return None
        assert isinstance(slot.key, EcKey)
        return slot.key.private.public_key()

    def _pin(self, admin: bool) -> Reference:
        state = self._steered.card.state
        return state.puk if admin else state.pin


PIV = Example(
    kind=KIND,
    make=PivDevice,
    maximum=3,
    ref=REF,
    absent=(KeyRef("none", "9A"), KeyRef("piv", "none")),
    algorithm="p256",
    data=bytes(range(32)),
    unfit=(b"", bytes(31), bytes(33), bytes(64)),
    pin=PIN,
    wrong=b"111111",
    next_pin=b"90210467",
    admin=PUK,
    wrong_admin=b"00000000",
    empty=KeyRef("piv", "9C"),
    new=KeyRef("piv", "82"),
    containers=tuple(Container(KeyRef("piv", slot), slot == "9A") for slot in SLOTS),
    empty_word=0x6A88,
    made_with=MANAGEMENT_KEY.hex().encode(),
)
