# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""In a session by ssh, where logind says whose it is and who opened it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pexpect

from tests.guest.console import PASSWORD, PATIENCE, PIN, SHELL
from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import UNIT, Guest

from .ways import asked_for_pin

_SUDO = r"password for alice: $"


@contextlib.contextmanager
def session(guest: Guest, user: str) -> Iterator[Any]:
    """A shell of `user`'s, in a session that the ukey has opened from afar."""
    command, *arguments = guest.ssh(user, "-tt", "-o", "NumberOfPasswordPrompts=1")
    child = pexpect.spawn(command, arguments, timeout=PATIENCE)
    try:
        child.expect(PASSWORD)
        child.sendline(f"{user}-password")
        asked_for_pin(guest, child)
        child.sendline(RIGHT)
        child.expect(SHELL)
        yield child
    finally:
        child.close()


def test_sudo_asks_for_the_ukey_that_opened_the_session(guest: Guest, alice: str) -> None:
    with session(guest, alice) as shell:
        become_root(guest, shell)
        guest.root(f"systemctl restart {UNIT}")
        become_root(guest, shell)


def become_root(guest: Guest, shell: Any) -> None:
    shell.sendline("sudo --reset-timestamp id -u")
    shell.expect(_SUDO)
    shell.sendline("alice-password")
    asked_for_pin(guest, shell)
    shell.sendline(RIGHT)
    shell.expect(r"\n0\r\n")
    shell.expect(SHELL)


def test_nobody_elses_ukey_is_asked_for_in_it(guest: Guest, alice: str) -> None:
    with session(guest, alice) as shell:
        guest.unbind(alice)
        guest.bind("bob")
        try:
            shell.sendline("su - bob")
            shell.expect(PASSWORD)
            shell.sendline("bob-password")
            assert shell.expect([r"another machine", PIN]) == 0
            shell.expect(SHELL)
        finally:
            guest.unbind("bob")
            guest.root("ukey forget --yes bob")  # else nouserok does not pass bob any more
            guest.bind(alice)
