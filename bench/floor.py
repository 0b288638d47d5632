# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The least that a session can cost: what it asks of others, without anything of ours."""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_char_p, c_long, c_ulong, c_void_p
from pathlib import Path
from typing import Any

from bench.sm2 import verification

COMMANDS = 5  #: that a login sends to its ukey, in one transaction
ROUND_TRIPS = 2  #: between the caller and the service
#: GET RESPONSE when there is nothing to get: any card refuses it at once, and stays as it is.
_COMMAND = bytes.fromhex("00C0000001")
_ANSWER_MAX, _FRAME_BYTES = 258, 100
# pcsclite.h
_SCOPE_SYSTEM, _SHARE_SHARED, _PROTOCOL_T1, _LEAVE_CARD = 2, 2, 2, 0


class Floor:
    """The same pcscd and card, one verification, and the kernel's own time for round trips."""

    def __init__(self, library: Any, card: c_long, echo: socket.socket, workdir: Path) -> None:
        self._library, self._card, self._echo = library, card, echo
        self._t1 = c_void_p(ctypes.addressof(c_ulong.in_dll(library, "g_rgSCardT1Pci")))
        self._answer = ctypes.create_string_buffer(_ANSWER_MAX)
        self._verify = verification(workdir)
        self._frame = secrets.token_bytes(_FRAME_BYTES)

    def commands(self) -> float:
        """Milliseconds of a transaction with as many commands as a login has."""
        return _milliseconds(self._transaction)

    def verification(self) -> float:
        """Milliseconds of one SM2 verification."""
        return _milliseconds(self._verify)

    def round_trips(self) -> float:
        """Milliseconds of as many round trips as a login has, to a process that says it again."""
        return _milliseconds(self._talk)

    def _transaction(self) -> None:
        library, card, answer = self._library, self._card, self._answer
        _right(library.SCardBeginTransaction(card))
        for _ in range(COMMANDS):
            length = c_ulong(_ANSWER_MAX)
            _right(
                library.SCardTransmit(
                    card, self._t1, _COMMAND, len(_COMMAND), None, answer, byref(length)
                )
            )
        _right(library.SCardEndTransaction(card, _LEAVE_CARD))

    def _talk(self) -> None:
        for _ in range(ROUND_TRIPS):
            self._echo.sendall(self._frame)
            self._echo.recv(_FRAME_BYTES, socket.MSG_WAITALL)


@contextlib.contextmanager
def floor(reader: str, workdir: Path) -> Iterator[Floor]:
    """For the card in `reader`, which others use too."""
    library = _load()
    context, card, protocol = c_long(), c_long(), c_ulong()
    _right(library.SCardEstablishContext(_SCOPE_SYSTEM, None, None, byref(context)))
    with contextlib.ExitStack() as left:
        left.callback(library.SCardReleaseContext, context)
        _right(
            library.SCardConnect(
                context,
                reader.encode(),
                _SHARE_SHARED,
                _PROTOCOL_T1,
                byref(card),
                byref(protocol),
            )
        )
        left.callback(library.SCardDisconnect, card, _LEAVE_CARD)
        ours, theirs = socket.socketpair()
        with theirs:
            ends = theirs.fileno()
            echo = subprocess.Popen(["/usr/bin/cat"], stdin=ends, stdout=ends)
        left.callback(echo.wait, timeout=10)
        left.enter_context(ours)
        yield Floor(library, card, ours, workdir)


def _load() -> Any:
    library = ctypes.CDLL("libpcsclite.so.1")
    for name, arguments in (
        ("SCardEstablishContext", (c_ulong, c_void_p, c_void_p, c_void_p)),
        ("SCardReleaseContext", (c_long,)),
        ("SCardConnect", (c_long, c_char_p, c_ulong, c_ulong, c_void_p, c_void_p)),
        ("SCardDisconnect", (c_long, c_ulong)),
        ("SCardBeginTransaction", (c_long,)),
        ("SCardEndTransaction", (c_long, c_ulong)),
        ("SCardTransmit", (c_long, c_void_p, c_char_p, c_ulong, c_void_p, c_void_p, c_void_p)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = c_long, arguments
    return library


def _milliseconds(call: Callable[[], None]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def _right(code: int) -> None:
    if code != 0:
        raise RuntimeError(f"PC/SC: 0x{code & 0xFFFFFFFF:08x}")
