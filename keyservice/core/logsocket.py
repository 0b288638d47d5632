# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Lines to the host's log by its datagram socket, without ever waiting for it.

libc's syslog() blocks while the log daemon does not read; a service that stands between people
and their logins must not. Lines that the socket does not take are kept, up to a number, and sent
with the next one. The loss of lines beyond that number is logged once there is room. Lines that
anybody can cause without end leave a quarter of that room to the others.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections import deque
from enum import IntEnum
from pathlib import Path
from typing import ClassVar

from .repeats import Repeats
from .text import plain

DEV_LOG = "/dev/log"
LINE_MAX = 2048  #: bytes of a line; rsyslog cuts at 8 KiB, the protocol's old limit is 1 KiB
BACKLOG = 1024  #: lines
KIND_MAX = 60  #: characters of what operators' lines have in common
PASSING = 768  #: at most so many of these are lines that anybody can cause


class Facility(IntEnum):
    """RFC 3164, section 4.1.1, shifted."""

    DAEMON = 3 << 3
    AUTHPRIV = 10 << 3


class Severity(IntEnum):
    """RFC 3164, section 4.1.1."""

    ALERT = 1
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class LogSocket:
    """The connection. Safe to call from any thread that logs."""

    def __init__(self, identity: str = "keyservice", path: str = DEV_LOG) -> None:
        self._identity, self._path = identity, path
        self._socket: socket.socket | None = None
        self._backlog: deque[bytes] = deque()
        self._lost = 0

    def send(
        self, facility: Facility, severity: Severity, text: str, *, passing: bool = False
    ) -> None:
        """Log one line. Goes to standard error where the host has no log.

        `passing`: the line is one of those that are lost first if the log takes none.
        """
        head = f"<{facility | severity}>{self._identity}[{os.getpid()}]: "
        line = (head + text.replace("\n", " ")).encode("utf-8", "replace")[:LINE_MAX]
        if len(self._backlog) < (PASSING if passing else BACKLOG):
            self._backlog.append(line)
        else:
            self._lost += 1
        if not self._flush():
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _flush(self) -> bool:
        """Send the waiting lines. False if there is no log at all; they are dropped then."""
        while self._backlog:
            try:
                self._connected().send(self._backlog[0])
            except BlockingIOError:
                return True
            except OSError:
                self.close()
                try:  # the daemon may have been restarted
                    self._connected().send(self._backlog[0])
                except BlockingIOError:
                    return True
                except OSError:
                    self.close()
                    self._backlog.clear()
                    return False
            self._backlog.popleft()
            if self._lost and len(self._backlog) < BACKLOG:
                lost, self._lost = self._lost, 0
                self._backlog.append(
                    f"<{Facility.DAEMON | Severity.WARNING}>{self._identity}[{os.getpid()}]: "
                    f"{lost} log lines were lost: the log did not take them".encode()
                )
        return True

    def _connected(self) -> socket.socket:
        if self._socket is None:
            fresh = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            )
            try:
                fresh.connect(self._path)
            except OSError:
                fresh.close()
                raise
            self._socket = fresh
        return self._socket


class Handler(logging.Handler):
    """For ``logging``: the operators' log, facility daemon. Never prints an exception's text.

    A bug's exception may quote the data that caused it, so only its type and the places of its
    traceback are logged. If lines differ only in what they name, some of them are written in a
    minute, and then their number: a card that fails is asked whenever somebody wants it.
    """

    _SEVERITIES: ClassVar = (
        (logging.ERROR, Severity.ERROR),
        (logging.WARNING, Severity.WARNING),
        (logging.INFO, Severity.INFO),
    )

    def __init__(self, log: LogSocket) -> None:
        super().__init__()
        self._log = log
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        self._tell_repeats(self._repeats.over())
        kind = f"{record.name.rpartition('.')[2]}: {record.msg}"[:KIND_MAX]
        if not self._repeats.admits(kind):
            return
        severity = next(
            (s for level, s in self._SEVERITIES if record.levelno >= level), Severity.DEBUG
        )
        self._log.send(Facility.DAEMON, severity, describe(record))

    def flush(self) -> None:
        """Log the number of lines that were not written, at the end."""
        self._tell_repeats(self._repeats.over(now=True))

    def _tell_repeats(self, repeats: list[tuple[str, int]]) -> None:
        for kind, count in repeats:
            text = f"{count} more lines like this were not written: {kind}"
            self._log.send(Facility.DAEMON, Severity.WARNING, text)


def describe(record: logging.LogRecord) -> str:
    """A record as one line: the message, and an exception's type and places. The line may be shown
    on root's terminal, and may hold text that others chose."""
    text = f"{record.name.rpartition('.')[2]}: {record.getMessage()}"
    if record.exc_info and record.exc_info[0] is not None:
        places = []
        trace = record.exc_info[2]
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        text += f" [{record.exc_info[0].__name__} at {' < '.join(reversed(places))}]"
    return plain(text.replace("\n", " "))
