# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A stand-in for pyscard's ``smartcard.scard``: one reader, one card that follows a script."""

from __future__ import annotations

from typing import Any

from smartcard import scard

OK: int = scard.SCARD_S_SUCCESS
RESET: int = scard.SCARD_W_RESET_CARD
REMOVED: int = scard.SCARD_W_REMOVED_CARD

#: A command in hex (spaces are free) and its answer in hex, or the PC/SC code of its failure.
Exchange = tuple[str, str | int]


class ScardStub:
    """``monkeypatch.setattr(pcsc, "scard", ScardStub(...))``. Constants are the real ones.

    `calls` lists what was called beside transmissions; `begins` and `connects` are the codes that
    the next calls answer with, success when they have run out.
    """

    def __init__(self, *exchanges: Exchange) -> None:
        self.exchanges = list(exchanges)
        self.calls: list[str] = []
        self.begins: list[int] = []
        self.connects: list[int] = []
        self.establishes: list[int] = []
        self.ends: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(scard, name)

    def expect(self, *exchanges: Exchange) -> None:
        """The commands of the next operation. Those before it must have come."""
        assert self.exchanges == []
        self.exchanges = list(exchanges)
        self.calls.clear()

    def done(self) -> list[str]:
        """What was called, once all expected commands have come."""
        assert self.exchanges == []
        return self.calls

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:
        assert scope == scard.SCARD_SCOPE_SYSTEM
        self.calls.append("establish")
        return _next(self.establishes), 7

    def SCardReleaseContext(self, context: int) -> int:
        self.calls.append("release")
        return OK

    def SCardConnect(
        self, context: int, reader: str, share: int, protocols: int
    ) -> tuple[int, int, int]:
        assert (reader, share) == ("R", scard.SCARD_SHARE_SHARED)
        self.calls.append("connect")
        return _next(self.connects), 9, scard.SCARD_PROTOCOL_T1

    def SCardReconnect(
        self, card: int, share: int, protocols: int, initialization: int
    ) -> tuple[int, int]:
        self.calls.append("reconnect " + _disposition(initialization))
        return OK, scard.SCARD_PROTOCOL_T1

    def SCardDisconnect(self, card: int, disposition: int) -> int:
        self.calls.append("disconnect " + _disposition(disposition))
        return OK

    def SCardBeginTransaction(self, card: int) -> int:
        self.calls.append("begin")
        return _next(self.begins)

    def SCardEndTransaction(self, card: int, disposition: int) -> int:
        self.calls.append("end " + _disposition(disposition))
        return _next(self.ends)

    def SCardTransmit(self, card: int, protocol: int, command: list[int]) -> tuple[int, list[int]]:
        assert self.exchanges, f"not expected: {bytes(command).hex()}"
        expected, answer = self.exchanges.pop(0)
        assert bytes(command).hex() == bytes.fromhex(expected).hex()
        if isinstance(answer, int):
            return answer, []
        return OK, list(bytes.fromhex(answer))

    def SCardGetStatusChange(
        self, context: int, timeout: int, states: list[tuple[str, int]]
    ) -> tuple[int, list[Any]]:
        self.calls.append("wait")
        return OK, [(name, scard.SCARD_STATE_PRESENT, []) for name, _ in states]


def _next(codes: list[int]) -> int:
    return codes.pop(0) if codes else OK


def _disposition(value: int) -> str:
    return {scard.SCARD_LEAVE_CARD: "leave", scard.SCARD_RESET_CARD: "reset"}[value]
