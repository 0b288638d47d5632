# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Places: how the module, the kernel and logind see each, and who logs in there."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import CHECKOUT
from tests.support.people import User
from tests.support.restore import folder
from tests.support.terminal import Terminal

from .rules import Place

#: Where logind writes its sessions and seats.
SESSIONS, SEATS = Path("/run/systemd/sessions"), Path("/run/systemd/seats")
_FAR = "192.0.2.1"
_HERE = "REMOTE=0\nSTATE=active\nLEADER=1\n"
_AFAR = f"REMOTE=1\nREMOTE_HOST={_FAR}\nSTATE=active\nCLASS=user\n"


@dataclass(frozen=True)
class Spot:
    """How the module, the kernel and logind see a place."""

    service: str
    example: str  #: Debian's
    tty: str = ""  #: PAM_TTY
    rhost: str = ""
    terminal: str = ""  #: the controlling one, by its name below /dev; ``pts`` for any such
    session: str = ""
    real: bool = True  #: whether the real uid is root's
    effective: bool = True


SPOTS = {
    Place.CONSOLE: Spot("login", "login", tty="tty1", terminal="tty1"),
    Place.GREETER: Spot("greeter", "login", tty=":0"),
    Place.SU: Spot("su", "su", tty="tty2", terminal="tty2", session="desk", real=False),
    Place.LOCKER: Spot("locker", "su", session="desk", real=False, effective=False),
    Place.SSHD: Spot("sshd-refused", "sshd", tty="ssh", rhost=_FAR),
    Place.SU_AFAR: Spot("su", "su", tty="pts/9", terminal="pts", session="afar", real=False),
    Place.SSHD_ALLOWED: Spot("sshd", "sshd", tty="ssh", rhost=_FAR),
    Place.SU_ADMITTED: Spot("su", "su", tty="pts/8", terminal="pts", session="let", real=False),
}


class Door:
    """A process that logs in at a place."""

    def __init__(self, spot: Spot) -> None:
        self._terminal: Terminal | None = None
        command = [sys.executable, "-m", "tests.model.door"]
        self._tasks, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            command += [str(other.fileno())]
            if spot.terminal:
                self._terminal = Terminal("" if spot.terminal == "pts" else spot.terminal)
                command += [str(self._terminal.path)]
            self._program = subprocess.Popen(
                command, cwd=CHECKOUT, pass_fds=[other.fileno()], start_new_session=True
            )
        self._tasks.setblocking(False)
        self.pid = self._program.pid

    async def login(self, task: Mapping[str, object]) -> tuple[int, int]:
        """(what pam_authenticate returned, what pam_setcred did)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30):
            await loop.sock_sendall(self._tasks, json.dumps(task).encode())
            code, setcred = json.loads(await loop.sock_recv(self._tasks, 65536))
        return code, setcred

    def close(self) -> None:
        self._tasks.close()
        self._program.wait(10)
        if self._terminal is not None:
            self._terminal.close()


@contextmanager
def doors() -> Iterator[dict[Place, Door]]:
    made = dict[Place, Door]()
    try:
        for place, spot in SPOTS.items():
            made[place] = Door(spot)
        yield made
    finally:
        for door in made.values():
            door.close()


@contextmanager
def login_sessions(user: User, sshd: int) -> Iterator[None]:
    """The files that logind would write: sessions at the desk, by ssh and of the greeter, and their
    seat.

    The process `sshd` leads one session by ssh; another process leads the other one.
    """
    texts = {
        SESSIONS / "desk": f"UID={user.uid}\nSEAT=seat0\nTTY=tty2\nVTNR=2\nCLASS=user\n{_HERE}",
        SESSIONS / "afar": f"UID={user.uid}\nTTY=pts/9\nLEADER=1\n{_AFAR}",
        SESSIONS / "let": f"UID={user.uid}\nTTY=pts/8\nLEADER={sshd}\n{_AFAR}",
        SESSIONS / "greeter": (
            f"UID=0\nSEAT=seat0\nTTY=tty7\nVTNR=7\nDISPLAY=:0\nCLASS=greeter\n{_HERE}"
        ),
        SEATS / "seat0": "IS_SEAT0=1\nSESSIONS=desk greeter\n",
    }
    with folder(SESSIONS), folder(SEATS):
        for path, text in texts.items():
            path.write_text(text)
        try:
            yield
        finally:
            for path in texts:
                path.unlink()
