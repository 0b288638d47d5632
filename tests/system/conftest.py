# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host on which ``demo`` is enrolled and the shipped stacks are in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import Daemon
from tests.support.ukeys import SLOTS, Softkey

EXAMPLES = CHECKOUT / "pam.d-examples"
#: ssh is let in from afar, and nobody is waited for: a test that wants either says so.
CONFIG = """
[authentication]
wait_for_ukey = 0
[services.sshd]
allow_remote = true
"""


@dataclass
class Enrolled:
    """What a person needs to get in, and the daemons that can fail them."""

    host: Host
    pcscd: Daemon
    keyservice: Daemon
    user: User
    ukey: Softkey

    @property
    def pin(self) -> str:
        assert self.ukey.pin is not None
        return self.ukey.pin.decode()

    @property
    def right(self) -> list[str]:
        """What the person answers."""
        return [self.user.password, self.pin]

    def stacks(self, kind: str = "helpful") -> None:
        """Put the shipped stacks of Debian in place: helpful or uniform."""
        for service in ("login", "su", "sshd"):
            self.host.pam.stack(service, (EXAMPLES / "debian" / kind / service).read_text())

    def sshd(self) -> Daemon:
        """sshd as the example configures it."""
        return self.host.sshd((EXAMPLES / "sshd_config.d" / "10-ukey.conf").read_text())


def enrol(host: Host, config: str = CONFIG, *, slots: int = SLOTS, **make: Any) -> Enrolled:
    """Start pcscd and the keyservice, make ``demo`` and a ukey, and bind it.

    `make`: as for ``Host.softkey``.
    """
    pcscd, keyservice = host.pcscd(slots), host.keyservice(config)
    user, ukey = host.user(), host.softkey(**make)
    host.bind(user, ukey)
    made = Enrolled(host, pcscd, keyservice, user, ukey)
    made.stacks()
    return made


@pytest.fixture
def enrolled(host: Host) -> Iterator[Enrolled]:
    yield enrol(host)
