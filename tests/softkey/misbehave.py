# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The faults that a ukey may show at times, and a card that has them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from .apdu import SW
from .device import INFO_BYTES
from .sm2 import KeyPair
from .switches import changed, check, choice, codes, flag, number

_GET_DEVICE_INFO, _GENERATE, _SIGN, _EXPORT = 0x04, 0x70, 0x74, 0x88
_SERIAL = slice(164, 196)
_OK = b"\x90\0"
_HUGE = 4096


@dataclass(frozen=True, slots=True)
class Faults:
    """All off by default. Raises :class:`ValueError` for a wrong value.

    `ins` and `at` narrow all others down: to these instructions, to the N-th APDU among them.
    """

    slow: float = number("answer so many ms late", float)
    mute: bool = flag("never answer; only pulling the ukey ends that")
    foreign: bool = flag("be a card of another kind: 6D00 to everything")
    sw: int = number("answer this status word (0x6F00), and no data but what lengthen adds")
    garbage: str = choice(
        "",
        "random",
        "byte",
        "content",
        "status",
        "huge",
        help="answer random bytes; a single byte; random data of the right length; "
        "a random status word; 4 KiB",
    )
    lengthen: int = number("answer so many bytes too much (negative: too few)", least=-1 << 16)
    signature: str = choice(
        "",
        "flipped",
        "zero",
        "out-of-range",
        "other-key",
        "replayed",
        help="sign with a bit flipped; r = s = 0; r = s = 2^256-1; another key; "
        "an earlier signature",
    )
    other_key: bool = flag("be a clone: the same serial and names, other keys")
    late_serial: float = number("have no serial for so many seconds after insertion", float)
    pull: str = choice(
        "", "before", "after", help="pulled out before or after running a command; once"
    )
    die: str = choice("", "before", "after", help="SIGKILL before or after running a command")
    ins: tuple[int, ...] = codes("only at these instructions (hexadecimal)")
    at: int = number("only at the N-th APDU, counted from 1")

    def __post_init__(self) -> None:
        check(self)

    def __bool__(self) -> bool:
        return bool(changed(self).keys() - {"ins", "at"})


class Reply(NamedTuple):
    """`answer` None is silence. `pull` and `die` come before any answer."""

    answer: bytes | None
    delay: float = 0.0  #: seconds
    pull: bool = False
    die: bool = False


class Transmits(Protocol):
    """A card of any kind."""

    def transmit(self, apdu: bytes) -> bytes: ...


class Card(Transmits, Protocol):
    """What is said of instructions and signatures is GM/T 0017's."""

    def earlier_signature(self, ids: bytes) -> bytes: ...


class Faulty:
    """A card of any kind with those faults that hang on no command's meaning."""

    def __init__(self, card: Transmits, faults: Faults) -> None:
        self._transmits = card
        self.faults = faults
        self._matched = 0

    def transmit(self, apdu: bytes, inserted_at: float = 0.0) -> Reply:
        """Run `apdu` as :meth:`Card.transmit` does, with the faults that are on.

        `inserted_at` is the monotonic time of the insertion, in seconds.
        """
        faults = self.faults
        if not self._matches(apdu):
            return Reply(self._transmits.transmit(apdu))
        if faults.die == "before" or faults.pull == "before":
            return Reply(None, pull=bool(faults.pull), die=bool(faults.die))
        answer = self._transmits.transmit(apdu)
        if faults.die or faults.pull:
            return Reply(None, pull=bool(faults.pull), die=bool(faults.die))
        if faults.mute:
            return Reply(None)
        return Reply(self._spoil(apdu, answer, inserted_at), faults.slow / 1000)

    def disarm(self) -> None:
        """It has been pulled out once."""
        self.faults = replace(self.faults, pull="")

    def _matches(self, apdu: bytes) -> bool:
        if self.faults.ins and apdu[1:2] not in map(_byte, self.faults.ins):
            return False
        self._matched += 1
        return self.faults.at in (0, self._matched)

    def _spoil(self, apdu: bytes, answer: bytes, inserted_at: float) -> bytes:
        faults = self.faults
        if faults.foreign:
            return SW.UNKNOWN_INSTRUCTION.to_bytes(2, "big")
        if faults.sw:
            answer = faults.sw.to_bytes(2, "big")
        elif answer.endswith(_OK):
            answer = self._data(apdu, answer[:-2], inserted_at) + _OK
        if faults.garbage and not faults.sw:
            answer = _garbage(faults.garbage, answer)
        if faults.lengthen > 0:
            answer = answer[:-2] + bytes(faults.lengthen) + answer[-2:]
        elif faults.lengthen < 0:
            answer = answer[:-2][: faults.lengthen] + answer[-2:]
        return answer

    def _data(self, apdu: bytes, data: bytes, inserted_at: float) -> bytes:
        """What the answer `data` becomes."""
        return data


class Misbehaving(Faulty):
    """A softkey with faults."""

    def __init__(
        self, card: Card, faults: Faults, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(card, faults)
        self.card = card
        self._monotonic = monotonic
        self._others: dict[bytes, KeyPair] = {}

    def _data(self, apdu: bytes, data: bytes, inserted_at: float) -> bytes:
        faults, ins = self.faults, apdu[1]
        if ins == _GET_DEVICE_INFO and len(data) == INFO_BYTES:
            if self._monotonic() - inserted_at < faults.late_serial:
                return data[: _SERIAL.start] + bytes(32) + data[_SERIAL.stop :]
        elif ins == _GENERATE and faults.other_key:
            return self._other(apdu).point
        elif ins == _EXPORT and faults.other_key:
            return data[:4] + self._other(apdu).point
        elif ins == _SIGN:
            return data[:4] + self._signature(apdu, data[4:])
        return data

    def _signature(self, apdu: bytes, right: bytes) -> bytes:
        kind = self.faults.signature
        if kind == "flipped":
            return right[:-1] + _byte(right[-1] ^ 1)
        if kind == "zero":
            return bytes(64)
        if kind == "out-of-range":
            return b"\xff" * 64
        if kind == "replayed":
            return self.card.earlier_signature(apdu[7:11])
        if kind == "other-key" or self.faults.other_key:
            return self._other(apdu).sign(apdu[11:43])
        return right

    def _other(self, apdu: bytes) -> KeyPair:
        """The key that this container does not hold: the same one each time."""
        ids = apdu[7:11]
        if ids not in self._others:
            self._others[ids] = KeyPair.generate()
        return self._others[ids]


def _garbage(kind: str, answer: bytes) -> bytes:
    if kind == "random":
        return secrets.token_bytes(2 + secrets.randbelow(300))
    if kind == "byte":
        return secrets.token_bytes(1)
    if kind == "content":
        return secrets.token_bytes(len(answer) - 2) + answer[-2:]
    if kind == "status":
        return secrets.token_bytes(2)
    return secrets.token_bytes(_HUGE) + _OK


def _byte(value: int) -> bytes:
    return bytes((value,))
