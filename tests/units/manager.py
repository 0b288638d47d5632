# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A service manager for one service, which follows its installed units: it holds the sockets,
starts the program confined, believes its notifications, and starts it again when it ends or hangs.

    python3 -m tests.units.manager [WATCHDOG-SECONDS]

WATCHDOG-SECONDS: instead of the unit's WatchdogSec=, for those who cannot wait.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from .confine import confine
from .unitfile import SERVICE, Unit, installed

NOTIFY = Path("/run/ukey-notify")
_FIRST_FD = 3


class Manager:
    def __init__(self, watchdog: float | None) -> None:
        self._service = installed(SERVICE)
        self._watchdog = watchdog or self._service.seconds("WatchdogSec")
        self._names: list[str] = []
        self._listeners = [self._listen(installed(name)) for name in self._service.words("Sockets")]
        NOTIFY.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(NOTIFY))
        self._stopping = False
        self._pid = 0

    def _listen(self, unit: Unit) -> socket.socket:
        path = Path(unit.text("ListenStream"))
        path.parent.mkdir(mode=int(unit.text("DirectoryMode"), 8), exist_ok=True)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        os.umask(0o177)
        listener.bind(str(path))
        os.umask(0o022)
        path.chmod(int(unit.text("SocketMode"), 8))
        listener.listen(int(unit.text("Backlog")))
        self._names.append(unit.text("FileDescriptorName"))
        return listener

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        assert self._service.text("Restart") == "always"
        while not self._stopping:
            self._pid = os.fork()
            if self._pid == 0:
                self._become_the_service()
            self._watch()
            time.sleep(self._service.seconds("RestartSec"))

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True
        os.kill(self._pid, signal.SIGTERM)

    def _watch(self) -> None:
        """Until the service has ended, of itself or because it gave no sign of life."""
        ended = os.pidfd_open(self._pid)
        deadline: float | None = None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([ended, self._notify.fileno()], [], [], left)
            if self._notify.fileno() in ready:
                told = self._notify.recv(1000)
                if told in (b"READY=1", b"WATCHDOG=1"):
                    deadline = time.monotonic() + self._watchdog
                print(told.decode(), flush=True)
            elif not ready:
                print("hung", flush=True)
                os.kill(self._pid, signal.Signals[self._service.text("WatchdogSignal")])
                deadline = None
            if ended in ready:
                _, status = os.waitpid(self._pid, 0)
                print(f"ended with {os.waitstatus_to_exitcode(status)}", flush=True)
                os.close(ended)
                return

    def _become_the_service(self) -> None:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for number, listener in enumerate(self._listeners, _FIRST_FD + 100):
                os.dup2(listener.fileno(), number)
            for number in range(_FIRST_FD, _FIRST_FD + len(self._listeners)):
                os.dup2(number + 100, number)
            environment = {
                "PATH": "/usr/bin:/usr/sbin",
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(self._listeners)),
                "LISTEN_FDNAMES": ":".join(self._names),
                "NOTIFY_SOCKET": str(NOTIFY),
                "WATCHDOG_USEC": str(int(self._watchdog * 1e6)),
                "WATCHDOG_PID": str(os.getpid()),
            }
            program = self._service.text("ExecStart")
            confine(self._service)
            os.closerange(_FIRST_FD + len(self._listeners), 200)
            os.chdir("/")
            os.execve(program, [program], environment)
        except BaseException as error:
            print(f"not started: {error!r}", flush=True)
        finally:
            os._exit(1)


if __name__ == "__main__":
    Manager(float(sys.argv[1]) if len(sys.argv) > 1 else None).run()
