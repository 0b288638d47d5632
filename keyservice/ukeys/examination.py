# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a card answers when each kind asks it what it is: for people whose ukey is not used.

No PIN is sent, so no try is spent. Afterwards a card may serve another application than before: the
worker lets go of it, and a ukey that finds itself connected again identifies itself.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from keyservice.core.errors import ReaderAbsent, UkeyAbsent, UkeyError, UkeyHeld
from keyservice.core.text import plain

from .kind import CardLink, Kind, Values
from .kinds import KINDS

#: Commands of each kind that are told, the first ones.
EXCHANGES_MAX = 16
#: Bytes of a command's header: CLA, INS, P1, P2.
HEADER_BYTES = 4
#: Bytes of an ATR (ISO/IEC 7816-3), and of an error's text.
ATR_MAX, ERROR_MAX = 33, 120


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its answer, without their data."""

    header: bytes  #: CLA INS P1 P2
    sw: int
    length: int  #: bytes in front of the status word


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one kind's look at the card."""

    kind: str
    known: bool  #: it is a ukey of this kind
    exchanges: tuple[Exchange, ...]
    values: Values  #: settings, other than the usual ones, that its answers point to
    error: str = ""  #: why the kind could not tell, or not go on


@dataclass(frozen=True, slots=True)
class Examination:
    """What a card is, as far as it tells."""

    atr: bytes
    looks: tuple[Look, ...]


class Card(CardLink, Protocol):
    """A card that tells its ATR too."""

    def atr(self) -> bytes:
        """Answer to reset; inside a transaction."""
        ...


class _Recorder:
    """A card whose exchanges are kept. See :class:`CardLink`."""

    def __init__(self, card: CardLink) -> None:
        self._card = card
        self.reader = card.reader
        self.exchanges: list[Exchange] = []

    @property
    def generation(self) -> int:
        return self._card.generation

    def transmit(self, command: bytes | bytearray) -> tuple[bytes, int]:
        body, sw = self._card.transmit(command)
        if len(self.exchanges) < EXCHANGES_MAX:
            self.exchanges.append(Exchange(bytes(command[:HEADER_BYTES]), sw, len(body)))
        return body, sw

    def transaction(self) -> AbstractContextManager[None]:
        return self._card.transaction()

    def reset(self) -> None:
        self._card.reset()


def examine(card: Card) -> Examination:
    """Have each kind look at the card. Raises what keeps all of them from it: :class:`UkeyAbsent`,
    :class:`ReaderAbsent` and :class:`UkeyHeld`."""
    with card.transaction():
        atr = card.atr()
    return Examination(atr[:ATR_MAX], tuple(_look(kind, card) for kind in KINDS))


def _look(kind: Kind, card: CardLink) -> Look:
    recorder, known, values, error = _Recorder(card), False, dict[str, str | int](), ""
    try:
        ukey = kind.recognise(recorder)
        if ukey is not None:
            known = True
            values |= kind.pointed(ukey)
    except (UkeyAbsent, ReaderAbsent, UkeyHeld):
        raise
    except UkeyError as failure:
        error = plain(failure.message)
    return Look(kind.name, known, tuple(recorder.exchanges), values, _cut(error))


def _cut(text: str) -> str:
    return text.encode()[:ERROR_MAX].decode("utf-8", "ignore")
