# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The two listening sockets: handed over by the process that started the service, or its own.

``root.sock`` is 0600, so that no user can fill its queue; ``user.sock`` is 0666.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from keyservice.core.errors import ConfigurationError

ROOT, USER = "root", "user"
#: Socket name → access mode.
_MODES = {ROOT: 0o600, USER: 0o666}
#: Connections that may wait for accept(). Short on user.sock: it bounds how long an honest caller
#: stands behind a flood.
_BACKLOG = {ROOT: 256, USER: 64}
#: The file beside them that only their maker can open.
_LOCK = ".lock"
#: The first descriptor of the LISTEN_FDS protocol, sd_listen_fds(3).
_FIRST_FD = 3


@dataclass(slots=True)
class Listeners:
    """Both sockets, listening and non-blocking. :meth:`close` removes own ones from the disk."""

    root: socket.socket
    user: socket.socket
    _paths: dict[Path, int] = field(default_factory=dict)  #: path → inode of each file that we made
    _lock: int | None = None

    def close(self) -> None:
        for path, inode in self._paths.items():
            with suppress(OSError):
                if path.lstat().st_ino == inode:
                    path.unlink()
        self.root.close()
        self.user.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def take_over(environ: MutableMapping[str, str]) -> Listeners | None:
    """The sockets named ``root`` and ``user`` that were handed over, or None if none were.

    Takes the variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of `environ`, so that no
    child believes them. Raises ConfigurationError for anything but exactly those two.
    """
    pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count:
        return None
    if count != str(len(_MODES)) or set(names) != set(_MODES):
        raise ConfigurationError("two sockets are taken over, with the names root and user")
    found: dict[str, socket.socket] = {}
    for number, name in enumerate(names, _FIRST_FD):
        os.set_inheritable(number, False)
        found[name] = _checked(number, name)
    return Listeners(found[ROOT], found[USER])


def _checked(number: int, name: str) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        raise ConfigurationError(f"descriptor {number} is not a socket", name=name) from None
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_STREAM or not listening:
        raise ConfigurationError("not a listening unix stream socket", name=name)
    listener.setblocking(False)
    return listener


def create(directory: Path) -> Listeners:
    """Make ``root.sock`` and ``user.sock`` in `directory`, which is made 0755 where it is missing.

    A lock is held there for as long as the sockets live. So sockets that lie there were left by a
    crash, and are replaced; at no moment is a mode wider than it should be. Raises
    ConfigurationError if another keyservice serves there, or others may write there.
    """
    lock = _locked(directory)
    made: dict[str, socket.socket] = {}
    paths: dict[Path, int] = {}
    try:
        for name, mode in _MODES.items():
            path = directory / f"{name}.sock"
            made[name], paths[path] = _bound(path, mode, _BACKLOG[name])
    except BaseException as error:
        for listener in made.values():
            listener.close()
        os.close(lock)
        if isinstance(error, OSError):
            raise ConfigurationError(f"no sockets can be made: {error.strerror}") from None
        raise
    return Listeners(made[ROOT], made[USER], paths, lock)


def _locked(directory: Path) -> int:
    """Hold `directory` for this process alone: the descriptor of a locked file in it.

    The directory itself is not locked: everybody can open and lock it, and no keyservice would
    start. The file stays: removing it would take the lock from a keyservice that starts just then.
    """
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | flags)
        try:
            facts = os.fstat(folder)
            if facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ConfigurationError(
                    f"{directory} belongs to others, or others may write there"
                )
            os.fchmod(folder, 0o755)
            lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | flags, 0o600, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigurationError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigurationError(f"another keyservice serves {directory}") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _bound(path: Path, mode: int, backlog: int) -> tuple[socket.socket, int]:
    """(listening socket, inode of its file)."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setblocking(False)
        os.fchmod(listener.fileno(), 0o600)  # bind() gives the file this mode, whatever the umask
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(backlog)
        return listener, path.lstat().st_ino
    except BaseException:
        listener.close()
        raise
