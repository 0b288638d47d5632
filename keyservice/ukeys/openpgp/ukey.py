# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An OpenPGP card as a ukey (OpenPGP smart card application, version 3.4).

Each operation is one transaction: the application is selected, the operation runs, and what was
proven is logged out. Other programs share the card, and some cards stay verified for whoever
selects the application next.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

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
from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.transport import tlv
from keyservice.transport.iso7816 import SW, CardError, Commands, Form, ResponseError
from keyservice.ukeys.base import Container, KeyRef, KeyUse, PinState, Remark, TryReserve, UkeyInfo
from keyservice.ukeys.kind import Ability, CardLink, Values
from keyservice.ukeys.settings import is_virtual

from . import keys
from .data import (
    AID,
    APPLICATION,
    CONTAINER,
    NOT_TOUCHED,
    P1_MAKE,
    P1_READ,
    P1_SELECT_BY_NAME,
    TEMPLATE,
    Application,
    Ins,
    Reference,
    Tag,
    manufacturer_of,
    parse_serial,
)
from .keys import Pair
from .pins import Pins, check_length
from .settings import ADMIN_PIN, NEW_PAIR, RESET_CODE, SETTINGS, UNBLOCK_WITH

#: Bytes that SELECT may be answered with: file control information.
_SELECTED_MAX = 255


class OpenPgp:
    """One card, from its insertion to its removal. See :class:`keyservice.ukeys.kind.Ukey`."""

    kind = "openpgp"

    def __init__(self, card: CardLink, serial: str) -> None:
        """For :meth:`recognise`, which has just selected the application of `card`."""
        self._card = card
        self._commands = Commands(card, Form.SHORT)
        self._generation = card.generation
        self._serial = serial
        #: The pair that was found, until the card may have forgotten.
        self._known: Pair | None = None
        self._pins = Pins(self._commands)
        self.configure({})

    @classmethod
    def recognise(cls, card: CardLink) -> OpenPgp | None:
        """The ukey behind `card`, or None for a card of another kind, which is left as it was."""
        with card.transaction():
            commands = Commands(card, Form.SHORT)
            try:
                return cls(card, _read_serial(commands)) if _select(commands) else None
            except (CardError, ResponseError):
                return None

    @property
    def seen_pin(self) -> PinState | None:
        return self._pins.seen

    def configure(self, values: Values) -> None:
        self._new_pair = str(values.get(NEW_PAIR, SETTINGS[0].usual))
        self._by_code = values.get(UNBLOCK_WITH, ADMIN_PIN) == RESET_CODE

    def info(self) -> UkeyInfo:
        return UkeyInfo(
            kind=self.kind,
            reader=self._card.reader,
            serial=self._serial,
            label="OpenPGP",
            manufacturer=manufacturer_of(self._serial),
            virtual=is_virtual(self._card.reader),
        )

    # -- without a PIN

    def applications(self) -> list[str]:
        with self._operation():
            return [APPLICATION]

    def containers(self) -> list[Container]:
        """The authentication key's place. It is listed empty too: a pair can be made there."""
        with self._operation():
            return [Container(KeyRef(APPLICATION, CONTAINER), self._pair() is not None)]

    def public_key(self, ref: KeyRef) -> PublicKey:
        _check_place(ref)
        with self._operation():
            return self._pair_there().key

    def key_use(self, ref: KeyRef) -> KeyUse:
        """The authentication key always asks for the PIN (4.3.1)."""
        _check_place(ref)
        with self._operation():
            told = self._application()
            remarks = Remark.IMPORTED if told.imported else Remark.NONE
            if self._pins.admin_default:
                remarks |= Remark.DEFAULT_ADMIN_PIN
            return KeyUse(touch=told.touch, remarks=remarks)

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState:
        _check_application(ref)
        with self._operation():
            return self._pins.admin_state(code=self._by_code) if admin else self._pins.state()

    # -- with a PIN

    def verify_pin(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PinState:
        """Prove the PIN, and log out."""
        _check_application(ref)
        check_length(pin, Reference.PW1)
        with self._operation(), self._logged_out(Reference.PW1):
            return self._pins.verify(pin, reserve)

    def sign(self, ref: KeyRef, pin: Secret, data: bytes, reserve: TryReserve) -> bytes:
        """By INTERNAL AUTHENTICATE (7.2.13), which pads for RSA and hashes nothing."""
        check_length(pin, Reference.PW1)
        if len(data) not in keys.DATA_BYTES:
            raise BadRequest("no algorithm signs so many bytes")
        _check_place(ref)
        with self._operation():
            pair = self._pair_there()
            pair.check(data)
            with self._logged_out(Reference.PW1):
                self._pins.verify(pin, reserve)
                return pair.signature(self._signed(data))

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, reserve: TryReserve) -> None:
        """By CHANGE REFERENCE DATA: the card holds one of both at any moment."""
        _check_application(ref)
        check_length(old, Reference.PW1)
        check_length(new, Reference.PW1)
        with self._operation(), self._logged_out(Reference.PW1_SIGN):
            self._pins.change(old, new, reserve)

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None:
        """By the admin PIN, or by the resetting code where the configuration says so. Neither's
        last try is ever spent."""
        _check_application(ref)
        check_length(admin, None if self._by_code else Reference.PW3)
        check_length(new, Reference.PW1)
        with self._operation():
            if self._by_code:
                with self._logged_out(Reference.PW1_SIGN):
                    self._pins.unblock_by_code(admin, new)
            else:
                with self._logged_out(Reference.PW3):
                    self._pins.verify_admin(admin)
                    self._pins.unblock(new)

    def generate(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PublicKey:
        """Make a pair; `pin` is the admin PIN, whose last try is never spent."""
        _check_application(ref)
        if ref.container != CONTAINER:
            raise BadRequest(N_("an OpenPGP card has the container AUT"))
        check_length(pin, Reference.PW3)
        with self._operation():
            told = self._application()
            if told.named or self._read_public() is not None:  # whatever it is good for
                raise BadRequest("The container holds a key pair", container=CONTAINER)
            with self._logged_out(Reference.PW3):
                self._pins.verify_admin(pin)
                return self._generated(told.attributes)

    def _generated(self, attributes: bytes) -> PublicKey:
        wanted = keys.attributes(self._new_pair)
        if not keys.same(attributes, wanted):
            self._put(Tag.ATTRIBUTES, wanted)
        answer = self._commands.send(0, Ins.GENERATE, P1_MAKE, 0, TEMPLATE, le=0)
        made = keys.parse_public(answer)
        pair = keys.pair(wanted, made)
        if pair is None:
            raise UkeyFailed("The ukey made no pair of the wanted algorithm")
        date = int(time.time())
        self._put(Tag.FINGERPRINT, keys.fingerprint(wanted, made, date))
        self._put(Tag.DATE, date.to_bytes(4, "big"))
        self._known = pair
        return pair.key

    def _put(self, tag: Tag, value: bytes) -> None:
        self._commands.send(0, Ins.PUT_DATA, 0, tag, value)

    def attest(self, ref: KeyRef) -> NoReturn:
        raise Ability.ATTEST.refused(self.kind)

    # -- an operation's frame

    @contextmanager
    def _operation(self) -> Iterator[None]:
        self._pins.seen = None
        with self._card.transaction():
            if not _select(self._commands):
                raise UkeyRemoved(serial=self._serial)
            if self._card.generation != self._generation:
                self._known = None
                self._pins.forget()
                if _read_serial(self._commands) != self._serial:
                    raise UkeyRemoved(serial=self._serial)
                self._generation = self._card.generation
            yield

    @contextmanager
    def _logged_out(self, reference: Reference) -> Iterator[None]:
        """Log out on every way out that does not end in a reset or without a card."""
        try:
            yield
        except (UkeyFailed, UkeyAbsent, ReaderAbsent):
            raise
        except UkeyError:
            try:
                self._log_out(reference)
            except (CardError, ResponseError):
                self._card.reset()
            raise
        self._log_out(reference)

    def _log_out(self, reference: Reference) -> None:
        """A card that cannot is reset."""
        if not self._pins.log_out(reference):
            self._card.reset()

    # -- what the card tells

    def _application(self) -> Application:
        return Application.parse(self._commands.send(0, Ins.GET_DATA, 0, Tag.APPLICATION, le=0))

    def _read_public(self) -> Mapping[int, bytes] | None:
        """The objects of the public key, None where there is no pair."""
        body, sw = self._commands.exchange(0, Ins.GENERATE, P1_READ, 0, TEMPLATE, le=0)
        if sw == SW.NO_DATA:
            return None
        if sw != SW.OK:
            raise CardError(Ins.GENERATE, sw)
        return keys.parse_public(body)

    def _pair(self) -> Pair | None:
        """None where there is none that signs a login."""
        if self._known is None:
            public = self._read_public()
            if public is not None:
                self._known = keys.pair(self._application().attributes, public)
        return self._known

    def _pair_there(self) -> Pair:
        pair = self._pair()
        if pair is None:
            raise NoKeyPair
        return pair

    def _signed(self, data: bytes) -> bytes:
        ins = Ins.INTERNAL_AUTHENTICATE
        answer, sw = self._commands.exchange(0, ins, 0, 0, data, le=0)
        if sw == NOT_TOUCHED or (sw == SW.NOT_VERIFIED and self._application().touch):
            raise NotTouched
        if sw != SW.OK:
            raise CardError(ins, sw)
        return answer


def _select(commands: Commands) -> bool:
    """Whether the card has the application, which is then selected (7.2.1)."""
    body, sw = commands.exchange(0, Ins.SELECT, P1_SELECT_BY_NAME, 0, AID, le=0)
    if sw == SW.OK:
        if len(body) > _SELECTED_MAX:
            raise ResponseError("SELECT brings too much")
        tlv.parse(body)
    return sw == SW.OK


def _read_serial(commands: Commands) -> str:
    return parse_serial(commands.send(0, Ins.GET_DATA, 0, Tag.AID, le=0))


def _check_application(ref: KeyRef) -> None:
    if ref.application != APPLICATION:
        raise NoKeyPair("The ukey has no such application")


def _check_place(ref: KeyRef) -> None:
    if (ref.application, ref.container) != (APPLICATION, CONTAINER):
        raise NoKeyPair("The ukey has no such application or container")
