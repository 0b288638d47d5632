# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The card: bytes in, bytes out. Parsing, dispatch, and all that a reset forgets.

Works without a reader or a network: ``Card(StateFile(path)).transmit(apdu)``. The commands
themselves are functions in ``device``, ``pins``, ``applications`` and ``containers``.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from . import applications, containers, device, pins
from .apdu import SW, Status, parse
from .rules import OpenApplication, Rule
from .state import Pin, State, StateError, StateFile
from .traits import Traits

#: by CLA and INS
COMMANDS: dict[bytes, Rule] = {
    **device.commands,
    **pins.commands,
    **applications.commands,
    **containers.commands,
}

_GET_RESPONSE = 0xC0


class Card:
    """A ukey under power."""

    def __init__(self, file: StateFile, *, random: Callable[[int], bytes] = os.urandom) -> None:
        """Load `file` (raises :class:`StateError`). `random` is replaced for known answers."""
        self.file = file
        self.state: State = file.load()
        self.random = random
        #: the last two signatures, for a ukey that replays one
        self.signatures: deque[bytes] = deque(maxlen=2)
        self.adopt()
        self.reset()

    def adopt(self, **traits: object) -> None:
        """Take on other traits until the next call; the file keeps the ukey's own.

        Raises :class:`ValueError` for a wrong value, and for ``pin_hash``, by which the PINs in the
        file are kept; :class:`TypeError` for a wrong name.
        """
        if "pin_hash" in traits:
            raise ValueError("pin-hash is chosen when the ukey is made")
        self.traits: Traits = replace(self.state.traits, **traits)  # type: ignore[arg-type]
        self.u32 = struct.Struct("<I" if self.traits.byte_order == "little" else ">I")
        self.u16 = struct.Struct("<H" if self.traits.byte_order == "little" else ">H")

    def reset(self) -> None:
        """Power on, or a reset: nothing is open, nobody is logged in, no challenge is known."""
        self.device_authenticated = False
        self.open: dict[bytes, OpenApplication] = {}
        self._challenge = self.next_challenge = b""
        self._rest = b""

    def transmit(self, apdu: bytes) -> bytes:
        """Run one command APDU; the answer is data and SW. Never raises."""
        # A challenge serves the command right after GenRandom, whose rest GET RESPONSE fetches.
        if apdu[1:2] != bytes((_GET_RESPONSE,)):
            self._challenge, self.next_challenge = self.next_challenge, b""
        rule = COMMANDS.get(apdu[:2])
        try:
            if rule is None:
                return self._unknown(apdu)
            parsed = parse(apdu)
            _, _, p1, p2, data, le = parsed
            if len(data) not in rule.data:
                raise Status(SW.WRONG_LENGTH)
            if p1 << 8 | p2 not in rule.p1p2:
                raise Status(SW.BAD_P1P2)
            if le is not None and rule.answer is not None and le != rule.answer:
                self._check_le(le, rule.answer)
            answer = rule.run(self, parsed)
        except Status as status:
            return status.sw.to_bytes(2, "big")
        except StateError:
            return SW.WRITE_FAILED.to_bytes(2, "big")
        if answer and self.traits.more_data:
            return self._announce(answer)
        return answer + b"\x90\0"

    # -- for the commands

    def application(self, ident: bytes) -> OpenApplication:
        """The open application with this id."""
        found = self.open.get(ident)
        if found is None:
            raise Status(SW.NOT_OPEN)
        return found

    def present(self, pin: Pin, right: Callable[[bytes], bool]) -> None:
        """Spend a try, on record before anything is compared; a right PIN earns all tries back.

        `right` compares, and gets the challenge: the 8 bytes of the GenRandom just before. The
        tries that it earns are not on record yet. If the process is killed, or the ukey pulled, in
        between, the try is spent.
        """
        if not pin.left:
            raise Status(SW.LOCKED)
        if not self._challenge:
            raise Status(SW.NO_CHALLENGE)
        pin.left -= 1
        try:
            self.file.write_tries(self.state)
        except StateError:
            pin.left += 1
            raise
        if not right(self._challenge):
            if self.traits.wrong_key == "shifted":
                raise Status((SW.WRONG_KEY | pin.left << 8) & 0xFFFF)
            raise Status(SW.WRONG_KEY | pin.left)
        pin.left = pin.maximum

    def earlier_signature(self, ids: bytes) -> bytes:
        """The signature before the last one; if there is none, a signature of something else."""
        if len(self.signatures) == 2:
            return self.signatures[0]
        container = self.open[ids[:2]].containers[ids[2:]]
        assert container.key is not None
        return container.key.sign(self.random(32))

    def save(self, undo: Callable[[], None]) -> None:
        """Write the changed state; if that fails, `undo` the change and answer 6581."""
        try:
            self.file.write(self.state)
        except StateError:
            undo()
            raise

    # -- lengths of answers

    def _check_le(self, le: int, length: int) -> None:
        if le < length or (length and self.traits.le == "exact"):
            raise Status(SW.WRONG_LE | length & 0xFF)

    def _announce(self, answer: bytes) -> bytes:
        self._rest = answer
        return (SW.MORE_DATA | min(len(answer), 0x100) & 0xFF).to_bytes(2, "big")

    def _get_response(self, apdu: bytes) -> bytes:
        """ISO 7816-4, 11.5.1: ``00 C0 00 00 Le``, short; ends with 61XX while there is more."""
        rest, self._rest = self._rest, b""
        if len(apdu) != 5 or not rest:
            raise Status(SW.CONDITIONS if len(apdu) == 5 else SW.WRONG_LENGTH)
        length = apdu[4] or 0x100
        part, rest = rest[:length], rest[length:]
        return part + (self._announce(rest) if rest else b"\x90\0")

    def _unknown(self, apdu: bytes) -> bytes:
        if len(apdu) < 4:
            raise Status(SW.WRONG_LENGTH)
        if apdu[1] == _GET_RESPONSE and apdu[0] in (0x00, 0x80):
            return self._get_response(apdu)
        if apdu[0] not in (0x80, 0x84) or bytes((apdu[0] ^ 0x04, apdu[1])) in COMMANDS:
            raise Status(SW.UNKNOWN_CLASS)
        raise Status(SW.UNKNOWN_INSTRUCTION)
