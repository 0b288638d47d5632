# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The host's log: a datagram socket where syslogd's would be, /dev/log."""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .process import READY, HostError

DEV_LOG = Path("/dev/log")
_LINE = re.compile(r"<(\d+)>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(.*)", re.DOTALL)

AUTHPRIV = 10
_SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


@dataclass(frozen=True)
class Line:
    """One message: `text` without priority and time, such as ``su: pam_unix(su:auth): …``."""

    facility: int
    severity: str
    text: str

    def __str__(self) -> str:
        return self.text


class Authlog:
    """Every line that any program logs, in order of arrival."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        DEV_LOG.unlink(missing_ok=True)
        self._socket.bind(str(DEV_LOG))
        DEV_LOG.chmod(0o666)
        self._thread = threading.Thread(target=self._read, name="authlog", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while message := self._socket.recv(65536):
            match = _LINE.match(message.decode(errors="replace").rstrip("\0\n"))
            if match is None:
                continue
            priority = int(match[1])
            line = Line(priority >> 3, _SEVERITIES[priority & 7], match[2])
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in list(self.lines))

    def find(self, pattern: str, since: int = 0) -> Line | None:
        """The first line from index `since` on that the regular expression matches."""
        lines = self.lines[since:]
        return next((line for line in lines if re.search(pattern, line.text)), None)

    def wait_for(self, pattern: str, since: int = 0, seconds: float = READY) -> Line:
        """That line, once it is there; :class:`HostError` with the log if it does not come."""
        deadline = time.monotonic() + seconds
        with self._news:
            while (found := self.find(pattern, since)) is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise HostError(f"no log line like {pattern!r}; the log:\n{self.text}")
            return found

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(DEV_LOG))
        self._thread.join(5)
        self._socket.close()
        DEV_LOG.unlink(missing_ok=True)
