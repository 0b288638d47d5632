# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""PC/SC through pyscard's C layer: one context, and one card in one reader.

Every call here may block for as long as a card or a stranger's transaction does, so only processes
that can be killed make them. pcsc-lite's answers to failures are unexpected: above all, a card that
is pulled in mid-command gives *success with an empty answer*.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from smartcard import scard

from keyservice.core.errors import (
    PcscdAbsent,
    ReaderAbsent,
    UkeyAbsent,
    UkeyError,
    UkeyFailed,
    UkeyHeld,
    UkeyRemoved,
)
from keyservice.core.reasons import Reason

_SERVICE_GONE: Final = frozenset(
    {
        scard.SCARD_E_NO_SERVICE,
        scard.SCARD_E_SERVICE_STOPPED,
        scard.SCARD_F_COMM_ERROR,  # pcscd died; the context is dead though it claims to be valid
        scard.SCARD_E_INVALID_HANDLE,
    }
)
_READER_GONE: Final = frozenset(
    {
        scard.SCARD_E_READER_UNAVAILABLE,
        scard.SCARD_E_UNKNOWN_READER,
        scard.SCARD_E_NO_READERS_AVAILABLE,
    }
)
_CARD_GONE: Final = frozenset(
    {
        scard.SCARD_E_NO_SMARTCARD,
        scard.SCARD_W_REMOVED_CARD,
        scard.SCARD_E_NOT_TRANSACTED,  # a command right after the pull
    }
)
#: pcscd did not pass the command on: the card was reset. No transaction begins after a reset,
#: unless another program died in its own at that very moment.
_UNSENT: Final = frozenset({scard.SCARD_E_PROTO_MISMATCH, scard.SCARD_W_RESET_CARD})
_PROTOCOLS: Final = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1

#: GET RESPONSE when there is nothing to get: any card refuses it, and stays as it is.
_NOTHING: Final = bytes.fromhex("00C0000001")

#: Seconds between looks at a reader that another program holds for itself, and their number.
_EXCLUSIVE_POLL: Final = 0.25
_EXCLUSIVE_LOOKS: Final = 6
#: Attempts: a handle can be stale, and the card behind the next one can be reset at that moment.
_BEGIN_ATTEMPTS: Final = 4


class TransportError(UkeyFailed):
    """The card or its reader did not do what was asked. Facts: reader, code (PC/SC's)."""


class Context:
    """A connection to pcscd, made when first needed. A confined process gets no second one: when
    pcscd dies, it is lost for good."""

    def __init__(self) -> None:
        self._handle: int | None = None
        self.lost = False  #: pcscd died, or was let go

    def handle(self) -> int:
        """The PC/SC context. Raises :class:`ReaderAbsent` where pcscd does not answer."""
        if self.lost:
            raise _error(scard.SCARD_E_SERVICE_STOPPED, "")
        if self._handle is None:
            code, handle = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            if code != scard.SCARD_S_SUCCESS:
                raise _error(code, "")
            self._handle = handle
        return self._handle

    def close(self) -> None:
        """Let go of pcscd, for good."""
        self.lost = True
        if self._handle is not None:
            scard.SCardReleaseContext(self._handle)
            self._handle = None

    def readers(self) -> list[str]:
        """The names of all readers, none where there is none."""
        code, names = scard.SCardListReaders(self.handle(), [])
        if code == scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        if code != scard.SCARD_S_SUCCESS:
            raise self.failure(code)
        return list(names)

    def wait(self, known: Sequence[tuple[str, int]], milliseconds: int | None) -> list[Any]:
        """Block until one of the (reader, state) pairs differs from what is known, or the time
        passes (None: for ever). A list of (reader, state, ATR); empty where the time passed."""
        timeout = scard.INFINITE if milliseconds is None else milliseconds
        code, states = scard.SCardGetStatusChange(self.handle(), timeout, list(known))
        if code == scard.SCARD_E_TIMEOUT:
            return []
        if code != scard.SCARD_S_SUCCESS:
            raise self.failure(code)
        return list(states)

    def failure(self, code: int, reader: str = "") -> UkeyError:
        """What `code`, which is not success, means; lets go of a context that has died."""
        if code in _SERVICE_GONE:
            self.close()
        return _error(code, reader)


class Card:
    """The card, of any kind, in the reader called `reader`, shared with other programs."""

    def __init__(self, reader: str, context: Context | None = None) -> None:
        """Touches nothing: the first transaction connects."""
        self.reader = reader
        self._context = context or Context()
        self._handle: int | None = None
        self._protocol = scard.SCARD_PCI_T1
        self._untouched = False  #: no command has been sent in this transaction
        #: Grows whenever the card may have forgotten what it was told: connected again, or reset.
        self.generation = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nobody else talks to the card inside.

        After a failure that a sound ukey never shows (an error of the kind :class:`UkeyFailed`, or
        a bug) it ends with a reset, so that no authorisation outlives it.
        """
        self._begin()
        try:
            yield
        except BaseException as error:
            foreseen = isinstance(error, UkeyError) and not isinstance(error, UkeyFailed)
            self._end(scard.SCARD_LEAVE_CARD if foreseen else scard.SCARD_RESET_CARD)
            raise
        self._end(scard.SCARD_LEAVE_CARD)

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        """Send one command inside a transaction; the answer's body and status word.

        Raises :class:`UkeyRemoved`, :class:`ReaderAbsent` or :class:`TransportError`.
        """
        code, answer = scard.SCardTransmit(self._handle, self._protocol, list(command))
        if code in _UNSENT and self._untouched:
            self._reconnect(scard.SCARD_LEAVE_CARD)
            code, answer = scard.SCardTransmit(self._handle, self._protocol, list(command))
        self._untouched = False
        if code == scard.SCARD_S_SUCCESS and len(answer) >= 2:
            return bytes(answer[:-2]), answer[-2] << 8 | answer[-1]
        if code == scard.SCARD_S_SUCCESS and answer:
            raise TransportError("The card's answer has no status word", reader=self.reader)
        if code in (scard.SCARD_S_SUCCESS, scard.SCARD_E_NOT_TRANSACTED):
            if self._is_there():
                raise TransportError("The card did not answer a command", reader=self.reader)
            code = scard.SCARD_W_REMOVED_CARD
        raise self._failure(code)

    def atr(self) -> bytes:
        """The card's answer to reset, inside a transaction."""
        code, _reader, _state, _protocol, atr = scard.SCardStatus(self._handle)
        if code != scard.SCARD_S_SUCCESS:
            raise self._failure(code)
        return bytes(atr)

    def reset(self) -> None:
        """Reset the card, inside a transaction, which goes on."""
        self._reconnect(scard.SCARD_RESET_CARD)

    @property
    def lost(self) -> bool:
        """Whether the connection to pcscd is."""
        return self._context.lost

    def release(self) -> None:
        """Let go of the card as it is; the next transaction connects to the card then present."""
        self._drop(scard.SCARD_LEAVE_CARD)

    def close(self) -> None:
        """Let go of the card as it is, and of pcscd."""
        self.release()
        self._context.close()

    def _begin(self) -> None:
        for _ in range(_BEGIN_ATTEMPTS):
            fresh = self._handle is None
            if fresh:
                self._connect()
            code = scard.SCardBeginTransaction(self._handle)
            if code == scard.SCARD_S_SUCCESS:
                self._untouched = True
                return
            if code == scard.SCARD_W_RESET_CARD:
                self._reconnect(scard.SCARD_LEAVE_CARD)
            elif fresh:
                raise self._failure(code)
            else:  # the handle's card has gone; another may be there, or pcscd gone too
                self._drop(scard.SCARD_LEAVE_CARD)
        raise TransportError("The card is being reset all the time", reader=self.reader)

    def _connect(self) -> None:
        self.generation += 1
        context = self._context.handle()
        for look in range(_EXCLUSIVE_LOOKS + 1):
            if look:
                # not SCardGetStatusChange: when it has waited in vain, it asks for pcscd's socket,
                # which a confined process cannot see
                time.sleep(_EXCLUSIVE_POLL)
            code, handle, protocol = scard.SCardConnect(
                context, self.reader, scard.SCARD_SHARE_SHARED, _PROTOCOLS
            )
            if code != scard.SCARD_E_SHARING_VIOLATION:
                break
        if code != scard.SCARD_S_SUCCESS:
            raise self._context.failure(code, self.reader)
        self._handle = handle
        self._use(protocol)

    def _reconnect(self, disposition: int) -> None:
        self.generation += 1
        code, protocol = scard.SCardReconnect(
            self._handle, scard.SCARD_SHARE_SHARED, _PROTOCOLS, disposition
        )
        if code != scard.SCARD_S_SUCCESS:
            raise self._failure(code)
        self._use(protocol)

    def _use(self, protocol: int) -> None:
        t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._protocol = scard.SCARD_PCI_T0 if t0 else scard.SCARD_PCI_T1

    def _end(self, disposition: int) -> None:
        if self._handle is None:
            return
        if disposition != scard.SCARD_LEAVE_CARD:
            self.generation += 1
        code = scard.SCardEndTransaction(self._handle, disposition)
        if code != scard.SCARD_S_SUCCESS:
            # the answer is valid; the next transaction connects again
            gone = code in _CARD_GONE
            self._drop(scard.SCARD_LEAVE_CARD if gone else scard.SCARD_RESET_CARD)

    def _is_there(self) -> bool:
        """Whether the card answers anything at all, by a command that means nothing to it.

        This tells a pulled card from one that failed, which must be reset. After a reset of a card
        that is out, pcscd 1.9 does not see its return if its poll has not seen it go.
        """
        code, answer = scard.SCardTransmit(self._handle, self._protocol, list(_NOTHING))
        return bool(code == scard.SCARD_S_SUCCESS and answer)

    def _failure(self, code: int) -> UkeyError:
        """What `code` means; lets go of a handle or context that is no longer of use."""
        if code in _CARD_GONE or code in _READER_GONE or code in _SERVICE_GONE:
            self._drop(scard.SCARD_LEAVE_CARD)
        error = self._context.failure(code, self.reader)
        return UkeyRemoved(reader=self.reader) if isinstance(error, UkeyAbsent) else error

    def _drop(self, disposition: int) -> None:
        if self._handle is not None:
            scard.SCardDisconnect(self._handle, disposition)
            self._handle = None


def _error(code: int, reader: str) -> UkeyError:
    """The one place where a PC/SC code becomes an error."""
    if code in _SERVICE_GONE:
        return PcscdAbsent("pcscd is not there")
    if code in _READER_GONE:
        return ReaderAbsent("The reader is gone", reader=reader)
    if code in _CARD_GONE:
        return UkeyAbsent(reader=reader)
    if code == scard.SCARD_E_SHARING_VIOLATION:
        return UkeyHeld(reader=reader, why=Reason.READER_HELD)
    return TransportError(
        "The reader failed: " + scard.SCardGetErrorMessage(code).strip(),
        reader=reader,
        code=f"{code & 0xFFFFFFFF:08X}",
    )
