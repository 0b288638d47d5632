# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The programs that let people in, each from its own door to its own shell.

``with way:`` somebody stands where the program can be asked; ``begin()`` goes on up to the PIN's
prompt; ``finish(pin)`` tells whether that was the way in; ``leave()`` goes back, if it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pexpect

from tests.guest.console import PASSWORD, PATIENCE, PIN, SHELL
from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import SERIAL, Guest

#: What ssh asks where the ukey is not seen yet, as it may be for seconds on a slow machine.
INSERT = r"press Enter: $"


def asked_for_pin(guest: Guest, child: Any) -> None:
    """Until the PIN is asked for. The ukey is in; Enter is pressed once the host has seen it."""
    while child.expect([PIN, INSERT]):
        guest.root(f"until ukey list --json | grep -q {SERIAL}; do sleep 0.2; done")
        child.sendline("")


class Way(Protocol):
    def begin(self) -> None: ...

    def finish(self, pin: str) -> bool: ...

    def leave(self) -> None: ...


class _Login:
    def __init__(self, guest: Guest, user: str) -> None:
        self._console, self._user = guest.console, user

    def begin(self) -> None:
        self._console.begin(self._user)

    def finish(self, pin: str) -> bool:
        self._console.type(pin)
        return self._console.shell_came() and self._console.run("id -un") == self._user

    def leave(self) -> None:
        self._console.logout()


class _Su:
    def __init__(self, guest: Guest, user: str) -> None:
        self._console, self._user = guest.console, user

    def begin(self) -> None:
        self._console.type(f"su - {self._user}")
        self._console.expect(PASSWORD)
        self._console.type(f"{self._user}-password")
        self._console.expect(PIN)

    def finish(self, pin: str) -> bool:
        self._console.type(pin)
        self._console.expect(SHELL)
        return self._console.run("id -un") == self._user

    def leave(self) -> None:
        self._console.type("exit")
        self._console.expect(SHELL)


class _Sudo:
    def __init__(self, guest: Guest, user: str) -> None:
        self._console, self._user = guest.console, user
        self._password = rf"password for {user}: $"

    def begin(self) -> None:
        self._console.type("sudo --reset-timestamp id -u")
        self._console.expect(self._password)
        self._console.type(f"{self._user}-password")
        self._console.expect(PIN)

    def finish(self, pin: str) -> bool:
        self._console.type(pin)
        if self._console.expect(SHELL, self._password) == 0:
            return "\n0\r\n" in self._console.text
        self._console.interrupt_until(SHELL)  # it would ask a second time
        return False

    def leave(self) -> None:
        pass


class Sshd:
    """`begin` in two steps: :meth:`ask` goes on up to the password, given."""

    def __init__(self, guest: Guest, user: str) -> None:
        self._command = guest.ssh(user, "-o", "NumberOfPasswordPrompts=1")
        self._guest, self._user = guest, user
        self._child: Any = None

    def ask(self) -> None:
        command, *arguments = self._command
        self._child = pexpect.spawn(command, [*arguments, "echo in:$(id -un)"], timeout=PATIENCE)
        self._child.expect(PASSWORD)
        self._child.sendline(f"{self._user}-password")

    def be_asked(self) -> None:
        asked_for_pin(self._guest, self._child)

    def begin(self) -> None:
        self.ask()
        self.be_asked()

    def finish(self, pin: str) -> bool:
        self._child.sendline(pin)
        came: bool = self._child.expect([f"in:{self._user}", "Permission denied", pexpect.EOF]) == 0
        self.close()
        return came

    def leave(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()


@contextlib.contextmanager
def by_login(guest: Guest, user: str) -> Iterator[Way]:
    yield _Login(guest, user)


@contextlib.contextmanager
def _by_su(guest: Guest, user: str, who: str, domain: str) -> Iterator[Way]:
    """`who` has no ukey, and a shell in `domain`."""
    assert guest.console.login(who, None)
    assert f":{domain}:" in guest.console.run("id -Z")
    yield _Su(guest, user)
    guest.console.logout()


def by_su_of_a_user(guest: Guest, user: str) -> AbstractContextManager[Way]:
    return _by_su(guest, user, "demo", "user_t")


def by_su_of_staff(guest: Guest, user: str) -> AbstractContextManager[Way]:
    return _by_su(guest, user, "bob", "staff_t")


@contextlib.contextmanager
def by_sudo(guest: Guest, user: str) -> Iterator[Way]:
    assert guest.console.login(user, RIGHT)
    yield _Sudo(guest, user)
    guest.console.logout()


@contextlib.contextmanager
def by_sshd(guest: Guest, user: str) -> Iterator[Sshd]:
    way = Sshd(guest, user)
    try:
        yield way
    finally:
        way.close()


WAYS: dict[str, Callable[[Guest, str], AbstractContextManager[Way]]] = {
    "login": by_login,
    "su of a confined user": by_su_of_a_user,
    "su of confined staff": by_su_of_staff,
    "sudo": by_sudo,
    "sshd": by_sshd,
}
