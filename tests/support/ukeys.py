# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Emulated ukeys in the virtual readers, as processes of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.softkey import state
from tests.softkey.control import Control

from . import CHECKOUT, pcsc
from .process import Daemon, wait_until

#: vpcd's first slot; the next slots follow
VPCD_PORT = 35963
#: Slots of one virtual reader
SLOTS = 2


def reader_name(number: int) -> str:
    """As pcscd is told to call a virtual reader: its driver's own name, and others beside it."""
    return f"Virtual PCD {number}" if number else "Virtual PCD"


class Softkey:
    """One emulated ukey and the reader's slot that it sits in.

    ``control`` steers it (insert, remove, misbehave, apdus, …: ``softkey.control.Control``).
    """

    #: What it runs as.
    MODULE = "tests.softkey"

    def __init__(
        self,
        path: Path,
        slot: int,
        *,
        pin: bytes | None,
        admin_pin: bytes | None,
        inserted: bool,
        **make: Any,
    ) -> None:
        """PINs: None for the factory's. `make`: more arguments of ``softkey.state.new``."""
        self.pin, self.admin_pin, self.slot = pin, admin_pin, slot
        self.path = path
        self.serial = self._make(pin=pin, admin_pin=admin_pin, **make)
        self.control = self._steer()
        self.start(inserted)

    def _make(self, **make: Any) -> str:
        """Write its first state; returns its serial."""
        self.file = state.StateFile(self.path)
        made = state.new(**make)
        self.file.create(made)
        return made.serial

    def _steer(self) -> Control:
        return Control(self.path)

    def start(self, inserted: bool = True) -> None:
        """Run it (again); returns when it can be steered."""
        command = [sys.executable, "-m", self.MODULE, "run", str(self.path)]
        command += ["--port", str(VPCD_PORT + self.slot)]
        self.daemon = Daemon(
            [*command, "--inserted" if inserted else "--removed"],
            self.path.with_suffix(".log"),
            cwd=CHECKOUT,
            env={"PYTHONPATH": os.fspath(CHECKOUT)},
        )
        self.daemon.wait_ready(self.control.answers)

    @property
    def reader(self) -> str:
        """pcscd's name for the place that it sits in."""
        return f"{reader_name(self.slot // SLOTS)} 00 {self.slot % SLOTS:02d}"

    def insert(self) -> None:
        """Put it in; returns once pcscd has seen it."""
        self.control.insert()
        self.wait_seen()

    def put_in(self) -> None:
        """Insert it; returns once a keyservice has asked what it is."""
        with self.asked():
            self.insert()

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Inside the block it is put in, or a keyservice starts; ends once the keyservice has asked
        what it is.

        pcscd tells its clients one after the other: a test may have seen something that a
        keyservice has not seen yet.
        """
        before = len(self.control.apdus())
        yield
        wait_until(lambda: len(self.control.apdus()) > before, f"{self.serial} asked what it is")

    def wait_seen(self) -> None:
        wait_until(lambda: self.reader in pcsc.occupied(), f"{self.serial} in {self.reader}")

    def remove(self) -> None:
        """Pull it out; returns once pcscd has seen that it is out."""
        with self.pulled():
            self.control.remove()

    @contextmanager
    def pulled(self) -> Iterator[None]:
        """Somebody pulls it out inside the block; ends once pcscd's poll has seen that."""
        if self.reader in pcsc.states() and self.control.status()["inserted"]:
            self.wait_seen()  # pcscd has asked the card before it reports it
        before = pcsc.states().get(self.reader)
        yield
        if before is not None and before[0]:
            wait_until(
                lambda: pcsc.states().get(self.reader, (False, -1))[1] != before[1],
                f"{self.serial} out of its reader",
            )

    def tries_left(self) -> int:
        """Of the user PIN of the first application."""
        left = self.control.status()["applications"][0]["user"]["left"]
        assert isinstance(left, int)
        return left

    def set_tries(self, left: int) -> None:
        """Leave the same PIN so many tries, as wrong PINs elsewhere would have.

        It is taken out for that, and put in again if it was in (:meth:`put_in`).
        """
        inserted = bool(self.control.status()["inserted"])
        self.remove()
        self.close()
        self._write_tries(left)
        self.start(inserted=False)
        if inserted:
            self.put_in()

    def _write_tries(self, left: int) -> None:
        made = self.file.load()
        made.applications[0].user.left = left
        self.file.write(made)

    def close(self) -> None:
        self.daemon.stop()
