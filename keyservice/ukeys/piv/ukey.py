# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A PIV card as a ukey (SP 800-73-4, part 2).

Each operation is one transaction: the application is selected, the operation runs, and the PIN is
logged out. Other programs share the card, and may have selected another application since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
    NotTouched,
    ReaderAbsent,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.core.marks import N_
from keyservice.core.reasons import Reason
from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.transport import tlv
from keyservice.transport.iso7816 import SW, CardError, Commands, Form, ResponseError
from keyservice.ukeys.base import (
    Container,
    Evidence,
    KeyRef,
    KeyUse,
    PinState,
    Remark,
    TryReserve,
    UkeyInfo,
)
from keyservice.ukeys.kind import CardLink, Values
from keyservice.ukeys.settings import is_virtual

from . import keys, management
from .attestation import shown
from .data import (
    AID,
    APPLICATION,
    CHUID_NAME,
    IMPORTED,
    P1_SELECT_BY_NAME,
    P1P2_CURRENT,
    SLOTS,
    TOUCH_NEVER,
    Ins,
    Metadata,
    PinPolicy,
    Reference,
    object_name,
    parse_certificate,
    parse_guid,
)
from .keys import Pair
from .pins import Pins, check, logged_out
from .settings import NEW_PAIR, SETTINGS

#: Asks for a pair of this algorithm (part 2, table 10), and, in vendors' words, for one that wants
#: the PIN once before it signs.
_CONTROL, _MECHANISM, _PIN_POLICY, _TEMPLATE = 0xAC, 0x80, 0xAA, 0x7F49
#: What SELECT is answered with (table 3).
_PROPERTIES = 0x61


class Piv:
    """One card, from its insertion to its removal. See :class:`keyservice.ukeys.kind.Ukey`."""

    kind = "piv"

    def __init__(self, card: CardLink) -> None:
        """For :meth:`recognise`, which has just selected the application of `card`."""
        self._card = card
        self._commands = Commands(card, Form.SHORT)
        self._generation = card.generation
        self._new_pair = str(SETTINGS[0].usual)
        #: The pairs that were found, until the card may have forgotten.
        self._pairs: dict[str, Pair] = {}
        #: Whether the card tells metadata, a vendor's command.
        self._tells = self._exchange_metadata(Reference.PIN)[1] == SW.OK
        self._pins = Pins(self._commands, self._metadata)
        self._serial = self._read_serial()

    @classmethod
    def recognise(cls, card: CardLink) -> Piv | None:
        """The ukey behind `card`, or None for a card of another kind, which is left as it was."""
        with card.transaction():
            try:
                selected = _select(Commands(card, Form.SHORT))
            except ResponseError:
                return None
            return cls(card) if selected else None

    @property
    def seen_pin(self) -> PinState | None:
        return self._pins.seen

    def configure(self, values: Values) -> None:
        self._new_pair = str(values.get(NEW_PAIR, SETTINGS[0].usual))

    def info(self) -> UkeyInfo:
        return UkeyInfo(
            kind=self.kind,
            reader=self._card.reader,
            serial=self._serial,
            label="PIV",
            manufacturer="",
            virtual=is_virtual(self._card.reader),
        )

    # -- without a PIN

    def applications(self) -> list[str]:
        with self._operation():
            return [APPLICATION]

    def containers(self) -> list[Container]:
        """The slots. Those that hold nothing are listed too: a pair can be made there."""
        with self._operation():
            return [
                Container(KeyRef(APPLICATION, slot), self._pair(slot) is not None) for slot in SLOTS
            ]

    def public_key(self, ref: KeyRef) -> PublicKey:
        with self._operation():
            return self._pair_at(ref).key

    def key_use(self, ref: KeyRef) -> KeyUse:
        """By the metadata; a card without these keeps to the standard: slot 9E asks for no PIN."""
        slot = _slot(ref)
        with self._operation():
            told = self._metadata(int(slot, 16))
            policy = told.pin_policy if told else None
            if told is None or policy is None:
                needs_pin = int(slot, 16) != Reference.CARD_AUTHENTICATION
                remarks = Remark.NONE if self._tells else Remark.NO_NEW_PAIR
                return KeyUse(needs_pin, remarks=remarks)
            remarks = Remark.IMPORTED if told.origin == IMPORTED else Remark.NONE
            for reference, remark in (
                (Reference.PUK, Remark.DEFAULT_ADMIN_PIN),
                (Reference.MANAGEMENT_KEY, Remark.DEFAULT_MANAGEMENT_KEY),
            ):
                other = self._metadata(reference)
                if other is not None and other.default:
                    remarks |= remark
            touch = told.touch_policy not in (None, 0, TOUCH_NEVER)
            return KeyUse(policy not in (0, PinPolicy.NEVER), touch, remarks)

    def attest(self, ref: KeyRef) -> Evidence:
        """By a vendor's slot F9, which no other card has."""
        slot = _slot(ref)
        with self._operation():
            return shown(self._commands, slot)

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState:
        _check_application(ref)
        with self._operation():
            return self._pins.admin_state() if admin else self._pins.state()

    # -- with a PIN

    def verify_pin(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PinState:
        """Prove the PIN, and log out."""
        _check_application(ref)
        check(pin)
        with self._operation():
            state = self._pins.spendable(reserve)
            with self._logged_out():
                return self._pins.verify(state, pin)

    def sign(self, ref: KeyRef, pin: Secret, data: bytes, reserve: TryReserve) -> bytes:
        """Nothing comes between VERIFY and the signature: some slots demand that."""
        check(pin)
        if len(data) not in keys.DATA_BYTES:
            raise BadRequest("no algorithm signs so many bytes")
        with self._operation():
            pair = self._pair_at(ref)
            challenge = pair.challenge(data)
            state = self._pins.spendable(reserve)
            with self._logged_out():
                self._pins.verify(state, pin)
                return pair.signature(self._signed(pair.number, _slot(ref), challenge))

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, reserve: TryReserve) -> None:
        """By CHANGE REFERENCE DATA: the card holds one of both at any moment."""
        _check_application(ref)
        check(old)
        check(new)
        with self._operation():
            state = self._pins.spendable(reserve)
            with self._logged_out():
                self._pins.change(state, old, new)

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None:
        """By the PUK. Where the card tells its tries, the last one is never spent."""
        _check_application(ref)
        check(admin)
        check(new)
        with self._operation(), self._logged_out():
            self._pins.unblock(admin, new)

    def generate(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PublicKey:
        """Make a pair; `pin` is the management key, in hexadecimal digits."""
        _check_application(ref)
        if ref.container not in SLOTS:
            raise BadRequest(N_("a PIV card has the containers 9A, 9C, 9D, 9E and 82 to 95"))
        slot = _slot(ref)
        with self._operation():
            if not self._tells:
                raise BadRequest(Reason.CERTIFICATES_ONLY)
            told = self._metadata(int(slot, 16))
            if told is not None and told.has_key:  # whatever it is good for
                raise BadRequest("The container holds a key pair", container=slot)
            with self._unmanaged():
                self._prove_management(pin)
                return self._generated(slot)

    def _generated(self, slot: str) -> PublicKey:
        number = keys.NEW[self._new_pair]
        control = tlv.build(_MECHANISM, bytes((number,)))
        control += tlv.build(_PIN_POLICY, bytes((PinPolicy.ONCE,)))
        body = tlv.build(_CONTROL, control)
        made = self._commands.send(0, Ins.GENERATE, 0, int(slot, 16), body, le=0)
        pair = keys.of_template(number, tlv.only(made, _TEMPLATE))
        if pair is None:
            raise UkeyFailed("The ukey made no pair of the wanted algorithm")
        self._pairs[slot] = pair
        return pair.key

    @contextmanager
    def _unmanaged(self) -> Iterator[None]:
        """The management key counts until the application is selected again."""
        try:
            yield
        except (UkeyFailed, UkeyAbsent, ReaderAbsent):
            raise
        except UkeyError:
            self._select_again()
            raise
        self._select_again()

    def _select_again(self) -> None:
        if not _select(self._commands):
            self._card.reset()

    # -- an operation's frame

    @contextmanager
    def _operation(self) -> Iterator[None]:
        self._pins.seen = None
        with self._card.transaction():
            if not _select(self._commands):
                raise UkeyRemoved(serial=self._serial)
            if self._card.generation != self._generation:
                self._pairs.clear()
                self._pins.forget()
                if self._read_serial() != self._serial:
                    raise UkeyRemoved(serial=self._serial)
                self._generation = self._card.generation
            yield

    @contextmanager
    def _logged_out(self) -> Iterator[None]:
        """Log out on every way out that does not end in a reset or without a card."""
        try:
            yield
        except (UkeyFailed, UkeyAbsent, ReaderAbsent):
            raise
        except UkeyError:
            try:
                self._log_out()
            except (CardError, ResponseError):
                self._card.reset()
            raise
        self._log_out()

    def _log_out(self) -> None:
        """A card that cannot is reset."""
        if not logged_out(self._commands):
            self._card.reset()

    # -- what the card tells

    def _metadata(self, reference: int) -> Metadata | None:
        """None where it tells none, or has nothing in the slot."""
        if not self._tells:
            return None
        body, sw = self._exchange_metadata(reference)
        if sw == SW.NO_DATA and reference not in (Reference.PIN, Reference.PUK):
            return None
        if sw != SW.OK:
            raise CardError(Ins.GET_METADATA, sw)
        return Metadata.parse(body)

    def _exchange_metadata(self, reference: int) -> tuple[bytes, int]:
        return self._commands.exchange(0, Ins.GET_METADATA, 0, reference, le=0)

    def _read_serial(self) -> str:
        """A vendor's number, or the GUID of the CHUID, or what names the first key; empty where
        there is none of these."""
        body, sw = self._commands.exchange(0, Ins.GET_SERIAL, 0, 0, le=0)
        if sw == SW.OK and len(body) == 4 and any(body):
            return str(int.from_bytes(body, "big"))
        chuid = self._object(CHUID_NAME)
        guid = "" if chuid is None else parse_guid(chuid)
        if guid:
            return guid
        for slot in SLOTS:
            pair = self._pair(slot)
            if pair is not None:
                return hashlib.sha256(pair.key.encoded).hexdigest()[:32]
        return ""

    def _object(self, name: bytes) -> bytes | None:
        body, sw = self._commands.exchange(0, Ins.GET_DATA, *P1P2_CURRENT, name, le=0)
        if sw == SW.NO_FILE:
            return None
        if sw != SW.OK:
            raise CardError(Ins.GET_DATA, sw)
        return body

    def _pair(self, slot: str) -> Pair | None:
        """The slot's pair, None where it holds none that signs."""
        pair = self._pairs.get(slot) or self._read_pair(slot)
        if pair is not None:
            self._pairs[slot] = pair
        return pair

    def _read_pair(self, slot: str) -> Pair | None:
        """By its metadata, or by its certificate."""
        if self._tells:
            told = self._metadata(int(slot, 16))
            if told is None or not told.has_key:
                return None
            assert told.algorithm is not None
            assert told.public_key is not None
            return keys.of_template(told.algorithm, told.public_key)
        content = self._object(object_name(SLOTS[slot]))
        certificate = None if content is None else parse_certificate(content)
        return None if certificate is None else keys.of_certificate(certificate)

    def _pair_at(self, ref: KeyRef) -> Pair:
        pair = self._pair(_slot(ref))
        if pair is None:
            raise NoKeyPair
        return pair

    # -- what it does

    def _signed(self, number: int, slot: str, challenge: bytes) -> bytes:
        ins = Ins.GENERAL_AUTHENTICATE
        answer, sw = self._commands.exchange(0, ins, number, int(slot, 16), challenge, le=0)
        if sw == SW.NOT_VERIFIED and self._tells:
            told = self._metadata(int(slot, 16))
            if told is not None and told.touch_policy not in (None, 0, TOUCH_NEVER):
                raise NotTouched
        if sw != SW.OK:
            raise CardError(ins, sw)
        return answer

    def _prove_management(self, typed: Secret) -> None:
        """Raises :class:`ManagementKeyWrong`."""
        told = self._metadata(Reference.MANAGEMENT_KEY)
        management.prove(self._commands, typed, told.algorithm if told else None)


def _select(commands: Commands) -> bool:
    """Whether the card has the application, which is then selected (part 2, 3.1.1)."""
    body, sw = commands.exchange(0, Ins.SELECT, P1_SELECT_BY_NAME, 0, AID, le=0)
    if sw == SW.OK:
        tlv.parse(tlv.only(body, _PROPERTIES))
    return sw == SW.OK


def _check_application(ref: KeyRef) -> None:
    if ref.application != APPLICATION:
        raise NoKeyPair("The ukey has no such application")


def _slot(ref: KeyRef) -> str:
    """The slot that `ref` names. Raises :class:`NoKeyPair`."""
    if ref.application != APPLICATION or ref.container not in SLOTS:
        raise NoKeyPair("The ukey has no such application or container")
    return ref.container
