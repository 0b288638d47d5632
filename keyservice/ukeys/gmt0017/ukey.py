# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey that speaks the GM/T 0017-2012 command set, as implementations do, over PC/SC.

Each operation is one transaction: the ukey is identified, what is not open is opened, the operation
runs, and the authorisation is cleared. The card's answers are kept until it may have forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

from keyservice.core.errors import (
    BadRequest,
    NoKeyPair,
    PinLocked,
    PinWrong,
    ReaderAbsent,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyRemoved,
)
from keyservice.core.secret import Secret
from keyservice.crypto.key import PublicKey
from keyservice.transport.iso7816 import SW, CardError, Commands, ResponseError
from keyservice.ukeys.base import Container, KeyRef, KeyUse, PinState, TryReserve, UkeyInfo
from keyservice.ukeys.kind import Ability, CardLink, Values
from keyservice.ukeys.settings import is_virtual
from keyservice.ukeys.spending import spendable

from . import pins
from .data import (
    CLA,
    CLA_MAC,
    CONTAINERS_MAX,
    DIGEST_BYTES,
    ID_BYTES,
    P1_HOST_HASH,
    P1_SIGNING_KEY,
    POINT_BYTES,
    SIGNATURE_BYTES,
    ContainerInfo,
    DeviceInfo,
    Ins,
    OpenedApplication,
    Role,
    build_bits,
    parse_names,
    parse_pin_state,
    parse_sized,
)
from .recognition import device_of
from .settings import ExpectedLength, Quirks
from .status import GARBLED_PIN_WRONG, MISSING, Status, refused


class Gmt0017:
    """One ukey, from its insertion to its removal. See :class:`keyservice.ukeys.kind.Ukey`."""

    kind = "gmt0017"

    def __init__(self, card: CardLink, device: DeviceInfo) -> None:
        """For :meth:`recognise`, which has just read `device` from `card`."""
        self._card = card
        self._commands = Commands(card)
        self._device = device
        self._generation = card.generation
        self._applications: dict[str, bytes] = {}
        self._containers: dict[KeyRef, bytes] = {}
        self.quirks = Quirks()
        #: The user PIN's state as the last operation saw it, None where it saw none.
        self.seen_pin: PinState | None = None

    @classmethod
    def recognise(cls, card: CardLink) -> Gmt0017 | None:
        """The ukey behind `card`, or None for a card of another kind, which is left as it was."""
        with card.transaction():
            device = device_of(Commands(card))
            return None if device is None else cls(card, device)

    def configure(self, values: Values) -> None:
        self.quirks = Quirks.of(values)

    def info(self) -> UkeyInfo:
        return UkeyInfo(
            kind=self.kind,
            reader=self._card.reader,
            serial=self._device.serial,
            label=self._device.label,
            manufacturer=self._device.manufacturer,
            virtual=is_virtual(self._card.reader),
        )

    # -- without a PIN

    def applications(self) -> list[str]:
        with self._operation():
            return self._names(Ins.ENUM_APPLICATION, b"")

    def containers(self) -> list[Container]:
        """All containers of all applications, at most 32."""
        with self._operation():
            found: list[Container] = []
            for application in self._names(Ins.ENUM_APPLICATION, b""):
                was_open = application in self._applications
                app = self._application(application)
                for name in self._names(Ins.ENUM_CONTAINER, app):
                    ref = KeyRef(application, name)
                    found.append(Container(ref, self._container_info(app, ref).has_key))
                    if len(found) > CONTAINERS_MAX:
                        raise ResponseError(f"The ukey has more than {CONTAINERS_MAX} containers")
                if not was_open:
                    del self._applications[application]
                    self._send(Ins.CLOSE_APPLICATION, app)
            return found

    def public_key(self, ref: KeyRef) -> PublicKey:
        """The signing key. Raises :class:`NoKeyPair`."""
        with self._operation():
            app = self._application(ref.application)
            ids, le = app + self._container(app, ref), 4 + POINT_BYTES
            data = self._send(Ins.EXPORT_PUBLIC_KEY, ids, p1=P1_SIGNING_KEY, le=le)
            return PublicKey("sm2", parse_sized(data, self.quirks.byte_order, "ExportPublicKey"))

    def key_use(self, ref: KeyRef) -> KeyUse:
        with self._operation():
            self._application(ref.application)
            return KeyUse()

    def pin_state(self, ref: KeyRef, *, admin: bool = False) -> PinState:
        with self._operation():
            return self._pin_state(ref.application, Role.ADMIN if admin else Role.USER)[1]

    # -- with a PIN

    def verify_pin(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PinState:
        pins.check(pin)
        with self._operation():
            app, state = self._spendable(ref.application, Role.USER, reserve)
            with self._cleared(app):
                return self._verify(app, state, pin)

    def sign(self, ref: KeyRef, pin: Secret, data: bytes, reserve: TryReserve) -> bytes:
        """r ‖ s, 64 bytes, over the 32-byte digest `data`. Nothing is proven: verify it."""
        pins.check(pin)
        if len(data) != DIGEST_BYTES:
            raise BadRequest("a digest has 32 bytes")
        with self._operation():
            app, state = self._spendable(ref.application, Role.USER, reserve)
            ids = app + self._container(app, ref)
            with self._cleared(app):
                self._verify(app, state, pin)
                le = 4 + SIGNATURE_BYTES
                answer = self._send(Ins.ECC_SIGN_DATA, ids + data, p1=P1_HOST_HASH, le=le)
                return parse_sized(answer, self.quirks.byte_order, "ECCSignData")

    def change_pin(self, ref: KeyRef, old: Secret, new: Secret, reserve: TryReserve) -> None:
        """The user PIN from `old` to `new`. The ukey holds one of both at any moment."""
        pins.check(old)
        pins.check(new)
        with self._operation():
            app, state = self._spendable(ref.application, Role.USER, reserve)
            with self._cleared(app):
                state = self._verify(app, state, old)
                sw = self._send_new_pin(Ins.CHANGE_PIN, Role.USER, app, old, new)
                if sw != SW.OK:
                    raise refused(Ins.CHANGE_PIN, sw)
                self.seen_pin = replace(state, default=False)

    def unblock_pin(self, ref: KeyRef, admin: Secret, new: Secret) -> None:
        """Give the user PIN all its tries and the value `new`, by the admin PIN.

        The admin PIN's last try is never spent. :class:`PinWrong` and :class:`PinLocked` are about
        the admin PIN here.
        """
        pins.check(admin)
        pins.check(new)
        with self._operation():
            app, state = self._spendable(ref.application, Role.ADMIN, TryReserve.LAST)
            with self._cleared(app):
                sw = self._send_new_pin(Ins.UNBLOCK_PIN, Role.ADMIN, app, admin, new)
                self._check_pin_answer(Ins.UNBLOCK_PIN, sw, app, Role.ADMIN, state)
                self._read_pin_state(app, Role.USER)

    def generate(self, ref: KeyRef, pin: Secret, reserve: TryReserve) -> PublicKey:
        """Make a signing pair in the container, and the container if it is missing.

        Raises :class:`BadRequest` if there is a pair already: it might be somebody's.
        """
        pins.check(pin)
        with self._operation():
            app, state = self._spendable(ref.application, Role.USER, reserve)
            missing = False
            try:
                if self._container_info(app, ref).has_key:
                    raise BadRequest("The container holds a key pair", container=ref.container)
            except NoKeyPair:
                missing = True
            with self._cleared(app):
                self._verify(app, state, pin)
                make = Ins.CREATE_CONTAINER if missing else Ins.OPEN_CONTAINER
                data = app + self._container(app, ref, make) + build_bits(self.quirks.asked_order)
                point = self._send(Ins.GEN_ECC_KEY_PAIR, data, le=POINT_BYTES)
                if len(point) != POINT_BYTES:
                    raise ResponseError(f"GenECCKeyPair brings {len(point)} bytes, not 64")
                return PublicKey("sm2", point)

    def attest(self, ref: KeyRef) -> NoReturn:
        raise Ability.ATTEST.refused(self.kind)

    # -- an operation's frame

    @contextmanager
    def _operation(self) -> Iterator[None]:
        self.seen_pin = None
        with self._card.transaction():
            if self._card.generation != self._generation:
                self._identify()
            yield

    def _identify(self) -> None:
        """Forget what the card may have forgotten, and check that it is still the same ukey."""
        self._applications.clear()
        self._containers.clear()
        device = device_of(self._commands)
        if device is None or device.serial != self._device.serial:
            raise UkeyRemoved(serial=self._device.serial)
        self._generation = self._card.generation

    @contextmanager
    def _cleared(self, app: bytes) -> Iterator[None]:
        """Send ClearSecureState on every way out that does not end in a reset or without a card."""
        try:
            yield
        except (UkeyFailed, UkeyAbsent, ReaderAbsent):
            raise
        except UkeyError:
            try:
                self._send(Ins.CLEAR_SECURE_STATE, app)
            except (CardError, ResponseError):  # a strict ukey says that nobody is logged in
                self._card.reset()
            raise
        self._send(Ins.CLEAR_SECURE_STATE, app)

    # -- opening

    def _application(self, name: str) -> bytes:
        """The id of the application, opened if it is not."""
        app = self._applications.get(name)
        if app is None:
            app = self._open(Ins.OPEN_APPLICATION, self._encode(name), OpenedApplication.LENGTH)
            app = self._applications[name] = OpenedApplication.parse(app).id
        return app

    def _container(self, app: bytes, ref: KeyRef, ins: Ins = Ins.OPEN_CONTAINER) -> bytes:
        """The id of the container, opened (or created) if it is not."""
        container = self._containers.get(ref)
        if container is None:
            container = self._open(ins, app + self._encode(ref.container), ID_BYTES)
            if len(container) != ID_BYTES:
                raise ResponseError(f"{ins.name} brings {len(container)} bytes, not {ID_BYTES}")
            self._containers[ref] = container
        return container

    def _open(self, ins: Ins, data: bytes, length: int) -> bytes:
        """OpenApplication and its like, by name. Raises :class:`NoKeyPair` where there is none."""
        body, sw = self._exchange(ins, data, le=length)
        if sw == Status.APPLICATION_OPEN and ins is Ins.OPEN_APPLICATION:
            # a process that is gone opened it, and the ukey does not tell the id twice
            self._card.reset()
            self._identify()
            body, sw = self._exchange(ins, data, le=length)
        if sw in MISSING:
            raise NoKeyPair("The ukey has no such application or container")
        if sw != SW.OK:
            raise refused(ins, sw)
        return body

    def _container_info(self, app: bytes, ref: KeyRef) -> ContainerInfo:
        data = app + self._encode(ref.container)
        info = self._open(Ins.GET_CONTAINER_INFO, data, ContainerInfo.LENGTH)
        return ContainerInfo.parse(info, self.quirks.byte_order)

    # -- PINs

    def _spendable(
        self, application: str, role: Role, reserve: TryReserve
    ) -> tuple[bytes, PinState]:
        """The application's id and the PIN's state, if a try of the PIN may be spent."""
        app, state = self._pin_state(application, role)
        return app, spendable(state, reserve)

    def _pin_state(self, application: str, role: Role) -> tuple[bytes, PinState]:
        """Both, with the application opened again if the card has closed it by itself."""
        app = self._application(application)
        try:
            return app, self._read_pin_state(app, role)
        except CardError as error:
            if error.sw != Status.APPLICATION_NOT_OPEN:
                raise
        self._identify()
        app = self._application(application)
        return app, self._read_pin_state(app, role)

    def _read_pin_state(self, app: bytes, role: Role) -> PinState:
        state = parse_pin_state(self._send(Ins.GET_PIN_INFO, app, p2=role, le=3))
        if role is Role.USER:
            self.seen_pin = state
        return state

    def _verify(self, app: bytes, state: PinState, pin: Secret) -> PinState:
        """Spend a try on the user PIN; its new state."""
        challenge = self._challenge()
        with pins.key_of(pin, self.quirks.pin_hash) as key:
            proof = pins.proof(key, challenge, self.quirks.pin_block)
        _, sw = self._exchange(Ins.VERIFY_PIN, app + proof, p2=Role.USER)
        self._check_pin_answer(Ins.VERIFY_PIN, sw, app, Role.USER, state)
        self.seen_pin = replace(state, left=state.maximum)
        return self.seen_pin

    def _send_new_pin(
        self, ins: Ins, role: Role, app: bytes, authority: Secret, new: Secret
    ) -> int:
        """ChangePIN or UnblockPIN: `new` encrypted and authenticated by `authority`."""
        p2 = role if ins is Ins.CHANGE_PIN else 0
        challenge = self._challenge()
        with pins.key_of(authority, self.quirks.pin_hash) as key:
            data = app + pins.encrypted(key, new, self.quirks.pin_block)
            header = bytes((CLA_MAC, ins, 0, p2))
            data += pins.mac(key, challenge, header, data, self.quirks.mac_length)
        return self._commands.exchange(CLA_MAC, ins, 0, p2, data)[1]

    def _check_pin_answer(
        self, ins: Ins, sw: int, app: bytes, role: Role, before: PinState
    ) -> None:
        """The one place that decides what a PIN command's status word means."""
        if sw == SW.OK:
            return
        if sw == SW.PIN_BLOCKED:
            if role is Role.USER:
                self.seen_pin = replace(before, left=0)
            raise PinLocked(maximum=before.maximum)
        told = sw & 0xF if sw & 0xFFF0 == SW.PIN_WRONG else None
        if told is None and sw not in GARBLED_PIN_WRONG:
            raise refused(ins, sw)
        left = before.left - 1
        if told != left:
            left = min(left, self._read_pin_state(app, role).left)
        if role is Role.USER:
            self.seen_pin = replace(before, left=left)
        raise PinWrong(left=left, maximum=before.maximum)

    def _challenge(self) -> bytes:
        """Eight random bytes from the card, which checks its next PIN command against them.

        What that costs is not known before its answer is: until then no count is claimed.
        """
        self.seen_pin = None
        challenge = self._send(Ins.GEN_RANDOM, b"", le=pins.CHALLENGE_BYTES)
        if len(challenge) != pins.CHALLENGE_BYTES:
            raise ResponseError(f"GenRandom brings {len(challenge)} bytes, not 8")
        return challenge

    # -- commands

    def _names(self, ins: Ins, data: bytes) -> list[str]:
        return parse_names(self._send(ins, data, le=0), self.quirks.name_length)

    def _encode(self, name: str) -> bytes:
        raw = name.encode()
        if not 1 <= len(raw) <= self.quirks.name_length or b"\0" in raw:
            raise BadRequest(f"a name has 1 to {self.quirks.name_length} bytes")
        return raw

    def _send(
        self, ins: Ins, data: bytes, *, p1: int = 0, p2: int = 0, le: int | None = None
    ) -> bytes:
        body, sw = self._exchange(ins, data, p1=p1, p2=p2, le=le)
        if sw == Status.NO_KEY_PAIR and ins is Ins.EXPORT_PUBLIC_KEY:
            raise NoKeyPair
        if sw != SW.OK:
            raise refused(ins, sw)
        return body

    def _exchange(
        self, ins: Ins, data: bytes, *, p1: int = 0, p2: int = 0, le: int | None = None
    ) -> tuple[bytes, int]:
        if le is not None and self.quirks.expected_length is ExpectedLength.ANY:
            le = 0
        return self._commands.exchange(CLA, ins, p1, p2, data, le=le)
