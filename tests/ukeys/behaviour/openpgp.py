# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An OpenPGP card for the suite."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyservice.ukeys.base import Container, Evidence, KeyRef
from keyservice.ukeys.openpgp import OPENPGP as KIND
from tests.openpgpcard.keys import EcKey
from tests.openpgpcard.state import AUTHENTICATION, Password, State, StateFile, new
from tests.openpgpcard.steered import Steered

from .example import Example
from .steered import SteeredDevice

PIN, ADMIN = b"528491", b"80352917"
REF = KeyRef("openpgp", "AUT")


class _Memory(StateFile):
    """The memory of a card from the factory, without a file: that one lasts is not the suite's."""

    def __init__(self, serial: str) -> None:
        super().__init__(serial)

    def load(self) -> State:
        made = _factory()
        key = made.slots[AUTHENTICATION].key
        copied = deepcopy(made, {id(key): key})  # a key is never changed
        copied.number = int(self.path.name[4:], 16)
        return copied

    def write(self, state: State) -> None: ...


@cache
def _factory() -> State:
    return new(serial="000500000000", pin=PIN, admin_pin=ADMIN, pairs={"AUT": "p256"})


class OpenPgpDevice(SteeredDevice[Steered]):
    """See :class:`tests.ukeys.behaviour.example.Device`."""

    def __init__(self, serial: str) -> None:
        super().__init__(Steered(_Memory(serial)))

    @property
    def authorised(self) -> bool:
        """It would sign, with whatever key, or make a pair."""
        return bool(self._steered.card.verified)

    def tries(self, *, admin: bool = False) -> int:
        return self._password(admin).left

    def set_tries(self, left: int, *, admin: bool = False) -> None:
        self._password(admin).left = left

    def clear(self) -> None:
        state = self._steered.card.state
        state.slots.pop(AUTHENTICATION, None)
        state.fingerprints.pop(AUTHENTICATION, None)

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
        raise NotImplementedError("its kind vouches for nothing")

    def _key(self, ref: KeyRef) -> ec.EllipticCurvePublicKey | None:
        slot = self._steered.card.state.slots.get(AUTHENTICATION)
        if ref != REF or slot is None:
            return None
        assert isinstance(slot.key, EcKey)
        return slot.key.private.public_key()

    def _password(self, admin: bool) -> Password:
        state = self._steered.card.state
        return state.pw3 if admin else state.pw1


OPENPGP = Example(
    kind=KIND,
    make=OpenPgpDevice,
    maximum=3,
    ref=REF,
    absent=(KeyRef("none", "AUT"), KeyRef("openpgp", "none")),
    algorithm="p256",
    data=bytes(range(32)),
    unfit=(b"", bytes(31), bytes(33), bytes(64)),
    pin=PIN,
    wrong=b"11111111",
    next_pin=b"90210467",
    admin=ADMIN,
    wrong_admin=b"00000000",
    new=REF,
    containers=(Container(REF, has_key=True),),
    empty_word=0x6A88,
    made_with=ADMIN,
    serials=("000500001001", "000500001002"),
)
