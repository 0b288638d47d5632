# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host on which ``demo`` is enrolled and the shipped stacks are in place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keyservice.contract import names

from . import CHECKOUT
from .crowd import Crowd
from .daemons import bus_owned
from .host import Host
from .people import User
from .process import Daemon, wait_until
from .stacks import without_pauses
from .ukeys import SLOTS, Softkey

EXAMPLES = CHECKOUT / "pam.d-examples"
#: In front of the drop-in, for a ukey in this host in the place of a key: sshd takes the first.
UKEY_HERE = "AuthenticationMethods keyboard-interactive:pam\n"
#: ssh is let in from afar, and logins wait for nobody's ukey: a test that wants it otherwise says
#: so.
CONFIG = """
[authentication]
wait_for_ukey = 0
[services.sshd]
factors_from_afar = ["ukey"]
"""


@dataclass
class Enrolled:
    """What a person needs to get in, and the daemons that can fail them."""

    host: Host
    pcscd: Daemon
    keyservice: Daemon
    user: User
    ukey: Softkey
    config: str  #: that the keyservice runs with
    slots: int = SLOTS
    pauses: bool = True  #: whether failures take as long as on a Debian host
    _crowd: Crowd | None = field(default=None, repr=False)

    @property
    def pin(self) -> str:
        assert self.ukey.pin is not None
        return self.ukey.pin.decode()

    @property
    def right(self) -> list[str]:
        """What the person answers."""
        return [self.user.password, self.pin]

    @property
    def crowd(self) -> Crowd:
        """For logins through libpam alone, for as long as the host is there."""
        if self._crowd is None:
            self._crowd = self.host.crowd()
        return self._crowd

    def stacks(self, kind: str = "helpful", *, pauses: bool | None = None) -> None:
        """Put the shipped stacks of Debian in place: helpful or uniform.

        `pauses`: as shipped, failures are told some seconds later. Default: as :attr:`pauses`.
        """
        pauses = self.pauses if pauses is None else pauses
        self.host.pause_after_failures(1 if pauses else 0)
        for service in ("login", "su", "sshd"):
            text = (EXAMPLES / "debian" / kind / service).read_text()
            self.host.pam.stack(service, text if pauses else without_pauses(text))

    def sshd(self) -> Daemon:
        """sshd as the example configures it."""
        drop_in = (EXAMPLES / "sshd_config.d" / "10-ukey.conf").read_text()
        return self.host.sshd(UKEY_HERE + drop_in)

    def bus(self) -> Daemon:
        """The system bus; returns once the keyservice, which runs, has its name there."""
        made = self.host.bus()
        wait_until(lambda: bus_owned(names.BUS_NAME), f"{names.BUS_NAME} owned")
        return made

    def serve(self, config: str) -> None:
        """Have the keyservice run, and with this configuration."""
        if self.keyservice.running and self.config == config:
            return
        self.keyservice.stop()
        self.start_keyservice(config)

    def start_keyservice(self, config: str) -> None:
        """Start one if none runs; returns once it has asked an inserted ukey what it is."""
        there = self.ukey.daemon.running and self.ukey.control.status()["seen"]
        with self.ukey.asked() if there else contextlib.nullcontext():
            self.keyservice = self.host.keyservice(config)
        self.config = config


def enrol(
    host: Host,
    config: str = CONFIG,
    *,
    slots: int = SLOTS,
    insert: Callable[..., Softkey] | None = None,
    **make: Any,
) -> Enrolled:
    """Start pcscd and the keyservice, make ``demo`` and a ukey, and bind it.

    `insert` makes the ukey, ``Host.softkey`` if it is None, with the arguments `make`.
    """
    pcscd, keyservice = host.pcscd(slots), host.keyservice(config)
    user, ukey = host.user(), (insert or host.softkey)(**make)
    host.bind(user, ukey)
    made = Enrolled(host, pcscd, keyservice, user, ukey, config, slots)
    made.stacks()
    return made
