# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The host's log: a datagram socket where syslogd's would be, /dev/log."""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from .process import READY, HostError

DEV_LOG = Path("/dev/log")
_LINE = re.compile(r"<(\d+)>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(.*)", re.DOTALL)

#: The text in front of a number that is sent through the log, to be found there again.
_MARK = b"mark "

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
        self._lines: list[Line] = []
        self._news = threading.Condition()
        self._marked = self._read_up_to = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        DEV_LOG.unlink(missing_ok=True)
        self._socket.bind(str(DEV_LOG))
        DEV_LOG.chmod(0o666)
        self._thread = threading.Thread(target=self._read, name="authlog", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while message := self._socket.recv(65536):
            if message.startswith(_MARK):
                with self._news:
                    # two threads' marks may come the other way round
                    mark = int(message.removeprefix(_MARK))
                    self._read_up_to = max(self._read_up_to, mark)
                    self._news.notify_all()
                continue
            match = _LINE.match(message.decode(errors="replace").rstrip("\0\n"))
            if match is None:
                continue
            priority = int(match[1])
            line = Line(priority >> 3, _SEVERITIES[priority & 7], match[2])
            with self._news:
                self._lines.append(line)
                self._news.notify_all()

    def catch_up(self) -> None:
        """Return once all that was sent so far has been read, or at once if there is no log."""
        if not DEV_LOG.exists():
            return
        with self._news:
            self._marked += 1
            mark = self._marked
        _send(_MARK + b"%d" % mark)
        with self._news:
            if not self._news.wait_for(lambda: self._read_up_to >= mark, READY):
                raise HostError("the log is not read any more")

    def forget(self) -> None:
        """Begin again: forget what was logged so far."""
        self.catch_up()
        with self._news:
            self._lines.clear()

    @property
    def lines(self) -> list[Line]:
        """All that was sent so far."""
        self.catch_up()
        with self._news:
            return list(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def find(self, pattern: str, since: int = 0) -> Line | None:
        """The first line from index `since` on that the regular expression matches."""
        lines = self._lines[since:]
        return next((line for line in lines if re.search(pattern, line.text)), None)

    def wait_for(self, pattern: str, since: int = 0, seconds: float = READY) -> Line:
        """That line, once it is there; :class:`HostError` with the log if it does not come."""
        with self._news:
            found = self._news.wait_for(lambda: self.find(pattern, since), seconds)
        if found is None:
            raise HostError(f"no log line like {pattern!r}; the log:\n{self.text}")
        return found

    def close(self) -> None:
        _send(b"")
        self._thread.join(5)
        self._socket.close()
        DEV_LOG.unlink(missing_ok=True)


def _send(message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message, str(DEV_LOG))
