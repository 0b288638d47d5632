# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An emulated ukey in a reader of this process. Tests use it like one in a virtual reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.softkey.control import Control, ControlError, NotRunning
from tests.softkey.misbehave import Reply
from tests.softkey.runner import Steered as SteeredCard
from tests.softkey.steered import Steered
from tests.support.ukeys import Softkey

from .pcscd import Pcscd


class Here(Control):
    """The card in its reader, and what steers it: no socket, and everything happens at once."""

    def __init__(
        self, pcscd: Pcscd, reader: str, path: Path, steer: Callable[[], SteeredCard]
    ) -> None:
        super().__init__(path)
        self._pcscd, self._reader = pcscd, reader
        self._steer = steer
        self._steered: SteeredCard | None = None

    # -- the card, as pcscd uses it

    def reset(self) -> None:
        if self._steered is not None:
            self._steered.reset()

    def transmit(self, apdu: bytes, inserted_at: float) -> Reply:
        reply = self._running.transmit(apdu, inserted_at)
        if reply.die:
            self._steered = None
        return reply

    # -- its process

    def start(self) -> None:
        self._steered = self._steer()

    def stop(self) -> None:
        self._take_out()
        self._steered = None

    # -- what ``Control`` sends over its socket

    def _call(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        with self._pcscd.locked():
            running = self._running
            match do:
                case "insert":
                    if not self.inside:
                        self._pcscd.insert(self._reader, self)
                case "remove":
                    self._take_out()
                case "wait-inserted":
                    if not self.inside:
                        raise ControlError(f"the softkey on {self.path} is in no reader")
                case "status":
                    inside = self.inside
                    return running.status() | {"inserted": inside, "seen": inside}
                case "misbehave":
                    try:
                        running.misbehave(arguments["switches"])
                    except (TypeError, ValueError) as error:
                        raise ControlError(str(error)) from None
                case "apdus":
                    return {"apdus": list(running.log)}
                case "reset-apdus":
                    running.log.clear()
                case _:
                    raise ControlError(f"there is no request {do!r}")
            return {}

    @property
    def inside(self) -> bool:
        return self._pcscd.card_in(self._reader) is self

    @property
    def _running(self) -> SteeredCard:
        if self._steered is None:
            raise NotRunning(f"no softkey runs on {self.path}")
        return self._steered

    def _take_out(self) -> None:
        if self.inside:
            self._pcscd.remove(self._reader)


class SoftkeyHere(Softkey):
    """A :class:`Softkey` whose process is this one, and whose pcscd is a double."""

    control: Here

    def __init__(self, pcscd: Pcscd, *arguments: Any, **more: Any) -> None:
        self._pcscd = pcscd
        super().__init__(*arguments, **more)

    def _steer(self) -> Here:
        self._pcscd.add_reader(self.reader)
        return Here(self._pcscd, self.reader, self.path, lambda: Steered(self.file))

    def start(self, inserted: bool = True) -> None:
        self.control.start()
        if inserted:
            self.control.insert()

    def close(self) -> None:
        self.control.stop()

    def wait_seen(self) -> None:
        self.control.wait_inserted()

    @contextmanager
    def pulled(self) -> Iterator[None]:
        yield
