# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Our modules on a host with the product, the real pcscd and bus, and the emulated ukey."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from bench import memory
from bench.comparators import stack
from bench.figures import Session
from bench.floor import Floor, floor
from bench.timing import Contender, RunFailed
from keyservice.client.session import SocketSession
from keyservice.contract import operations
from keyservice.contract.names import Code
from keyservice.contract.steps import Prompt, Verdict
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.process import must
from tests.support.ukeys import Softkey

TTY = "tty1"  #: a console: the login is a local one
ENTRY = "/usr/lib/ukey/pam_ukey/pam_python_entry.py"
WHEELS = "/opt/wheels"
INSTALL_DEADLINE = 300  #: seconds


class Ours:
    """A person with a bound ukey, in a reader, and a keyservice that has met both."""

    def __init__(self, user: str, softkey: Softkey, keyservice: int) -> None:
        """`keyservice`: its pid."""
        assert softkey.pin is not None
        self.user = user
        self._reader, self._keyservice = softkey.reader, keyservice
        self._pin = softkey.pin
        self._card = softkey.control

    def contenders(self) -> list[Contender]:
        """The C module over the sockets, and the Python one over the bus."""
        modules = {
            "pam_ukey.so": ("pam_ukey.so, SM2 on the emulated ukey", "pam_ukey.so"),
            "pam_python": ("pam_python module, the same", f"pam_python.so {ENTRY}"),
        }
        return [
            Contender(
                key,
                title,
                stack(f"bench-{key.partition('.')[0]}", module),
                self.user,
                self._pin + b"\n",
                {"tty": TTY},
            )
            for key, (title, module) in modules.items()
        ]

    def sessions(self, rounds: int, workdir: Path, *, warm_up: int = 3) -> Session:
        """`rounds` logins straight over root.sock, without libpam, the card's share of each, and
        the floor beside each."""
        total, card, least = list[float](), list[float](), list[float]()
        with floor(self._reader, workdir) as beside:
            for number in range(warm_up + rounds):
                before = self._busy()
                took = self._session()
                busy = self._busy() - before
                floor_took = self._floor(beside, busy)
                if number >= warm_up:
                    total.append(took)
                    card.append(busy)
                    least.append(floor_took)
        return Session(total, card, least)

    def memory(self) -> dict[str, float]:
        """MiB, of each process and of all."""
        return memory.measure(self._keyservice)

    def _floor(self, beside: Floor, busy: float) -> float:
        """Milliseconds that a session takes at least whose commands cost the card `busy`."""
        before = self._busy()
        commands = beside.commands()
        more = busy - (self._busy() - before)
        return commands + more + beside.verification() + beside.round_trips()

    def _busy(self) -> float:
        """Milliseconds that the card has computed so far."""
        return float(self._card.status()["busy"])

    def _session(self) -> float:
        """Milliseconds from Begin to the verdict, which must be a right login's."""
        start = time.perf_counter_ns()
        with SocketSession() as session:
            for step in session.begin(
                operations.AUTHENTICATION, user=self.user, service="bench", tty=TTY
            ):
                match step:
                    case Prompt():
                        session.answer(bytearray(self._pin))
                    case Verdict(code=Code.SUCCESS):
                        return (time.perf_counter_ns() - start) / 1e6
                    case Verdict(code, text):
                        raise RunFailed(f"a session ends with {code}: {text}")
        raise RunFailed("a session ends without a verdict")


@contextlib.contextmanager
def ready() -> Iterator[Ours]:
    """Install the product, start its daemons, bind a ukey to a person."""
    must([CHECKOUT / "scripts" / "install", "--wheels", WHEELS], seconds=INSTALL_DEADLINE)
    with Host() as host:
        host.pcscd(slots=1)
        host.bus()
        keyservice = host.keyservice()
        user, softkey = host.user("bench"), host.softkey()
        host.bind(user, softkey)
        yield Ours(user.name, softkey, keyservice.pid)
