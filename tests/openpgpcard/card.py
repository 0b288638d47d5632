# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The card: bytes in, bytes out. Form, chaining, dispatch, and all that a reset forgets.

Works without a reader or a network: ``Card(StateFile(path)).transmit(apdu)``. The commands are
functions in ``pins``, ``objects``, ``imports`` and ``use``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.pivcard.apdu import CHAIN_MAX, CHAINED, SW, Command, Status, parse, tlv
from tests.softkey.state import StateError

from . import imports, life, objects, pins, use
from .state import State, StateFile

#: The application, without version, maker and number (4.2.1).
RID = bytes.fromhex("d27600012401")
_GET_RESPONSE, _SELECT, _ACTIVATE = 0xC0, 0xA4, 0x44
_TERMINATED = 0x6285

#: How the commands are written: the card, the command, the answer.
Run = Callable[["Card", Command], bytes]

COMMANDS: dict[int, Run] = {
    **pins.commands,
    **objects.commands,
    **imports.commands,
    **use.commands,
    **life.commands,
}


class Card:
    """An OpenPGP card under power."""

    def __init__(self, file: StateFile, *, random: Callable[[int], bytes] = os.urandom) -> None:
        """Load `file` (raises :class:`StateError`). `random` is replaced for known answers."""
        self.file = file
        self.state: State = file.load()
        self.random = random
        #: Seconds until a finger touches the card that waits for one; None: nobody is there.
        self.finger: float | None = 0.0
        self.delay = 0.0  #: seconds that the last command took, beside its own work
        self.reset()

    def reset(self) -> None:
        """Power on, or a reset."""
        self.selected = False
        self.occurrence = 0  #: of the certificates, as SELECT DATA has named it
        self.verified: set[int] = set()  #: 81, 82, 83
        self._chain: tuple[bytes, bytes] | None = None
        self._rest = b""

    def transmit(self, apdu: bytes) -> bytes:
        """Run one command APDU; the answer is data and SW. Never raises."""
        self.delay = 0.0
        try:
            command = parse(apdu, extended=self.state.traits.extended)
            if command.ins == _GET_RESPONSE:
                return self._get_response(command)
            self._rest = b""
            whole = self._chained(command)
            if whole is None:
                return b"\x90\0"
            return self._announce(self._run(whole), whole.le)
        except Status as status:
            return status.sw.to_bytes(2, "big")
        except StateError:
            return SW.WRITE_FAILED.to_bytes(2, "big")

    def save(self) -> None:
        """Raises :class:`StateError`: 6581."""
        self.file.write(self.state)

    def _run(self, command: Command) -> bytes:
        if command.cla:
            raise Status(SW.UNKNOWN_CLASS)
        if command.ins == _SELECT:
            return self._select(command)
        run = COMMANDS.get(command.ins)
        if run is None or not self.selected:
            raise Status(SW.UNKNOWN_INSTRUCTION)
        if self.state.terminated and command.ins != _ACTIVATE:
            raise Status(_TERMINATED)
        return run(self, command)

    def _select(self, command: Command) -> bytes:
        """7.2.1. A terminal may name the application without version, maker and number."""
        if command.p1 != 0x04 or command.p2 not in (0x00, 0x0C):
            raise Status(SW.BAD_P1P2)
        aid = self.state.aid
        if len(command.data) < len(RID) or not aid.startswith(command.data):
            raise Status(SW.NO_OBJECT)
        if not self.state.traits.keeps_pin:
            self.verified.clear()
        self.selected, self.occurrence = True, 0
        if self.state.terminated:
            raise Status(_TERMINATED)
        if command.p2 or not self.state.traits.answers_select:
            return b""
        return tlv(0x6F, tlv(0x84, aid))

    def _chained(self, command: Command) -> Command | None:
        """The whole command, None while more of it is to come (ISO 7816-4, 5.3.3)."""
        head = bytes((command.cla & ~CHAINED, *command[1:4]))
        before, self._chain = self._chain, None
        data = command.data
        if before is not None and before[0] == head:
            data = before[1] + data
        if len(data) > CHAIN_MAX:
            raise Status(SW.WRONG_LENGTH)
        if command.cla & CHAINED:
            self._chain = head, data
            return None
        return Command(head[0], head[1], head[2], head[3], data, command.le)

    def _announce(self, answer: bytes, le: int) -> bytes:
        part, self._rest = answer[:le], answer[le:]
        if not self._rest:
            return part + b"\x90\0"
        return part + (SW.MORE_DATA | min(len(self._rest), 0x100) & 0xFF).to_bytes(2, "big")

    def _get_response(self, command: Command) -> bytes:
        rest, self._rest = self._rest, b""
        if not rest:
            raise Status(SW.CONDITIONS)
        return self._announce(rest, command.le)
