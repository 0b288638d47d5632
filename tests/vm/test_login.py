# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""People who log in, with a USB device for a ukey and SELinux enforcing."""

from __future__ import annotations

import pexpect

from .console import PASSWORD, PATIENCE, PIN, SHELL
from .guest import PIN as RIGHT
from .guest import Guest

WRONG = "13243546"
OTHER = "97531864"


def test_login_on_the_serial_console(guest: Guest, alice: str) -> None:
    assert guest.console.login(alice, RIGHT)
    assert guest.console.run("id -un") == alice
    guest.console.logout()


def test_a_wrong_pin_costs_a_try_and_lets_nobody_in(guest: Guest, alice: str) -> None:
    before = guest.ukey.tries_left()
    assert not guest.console.login(alice, WRONG)
    assert guest.ukey.tries_left() == before - 1
    assert guest.console.login(alice, RIGHT)
    assert guest.ukey.tries_left() == before
    guest.console.logout()


def test_the_ukey_is_unplugged_while_its_pin_is_typed(guest: Guest, alice: str) -> None:
    guest.console.begin(alice)
    guest.unplug()
    guest.console.type(RIGHT)
    assert not guest.console.shell_came()
    guest.wait_ukey(there=False)
    guest.plug()
    guest.wait_ukey()
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()


def test_who_has_no_ukey_bound_logs_in_by_password(guest: Guest) -> None:
    assert guest.console.login("bob", None)
    guest.console.logout()


def test_su_to_somebody_who_has_a_ukey(guest: Guest, alice: str) -> None:
    console = guest.console
    assert console.login("bob", None)
    for pin, user in ((WRONG, "bob"), (RIGHT, alice)):
        console.type(f"su - {alice}")
        console.expect(PASSWORD)
        console.type(f"{alice}-password")
        console.expect(PIN)
        console.type(pin)
        console.expect(SHELL)
        assert console.run("id -un") == user
    console.type("exit")
    console.expect(SHELL)
    console.logout()


def test_sudo(guest: Guest, alice: str) -> None:
    console = guest.console
    assert console.login(alice, RIGHT)
    console.type("sudo --reset-timestamp id -u")
    console.expect(rf"password for {alice}: $")
    console.type(f"{alice}-password")
    console.expect(PIN)
    console.type(RIGHT)
    console.expect(SHELL)
    assert "\n0\r\n" in console.text
    console.logout()


def test_sshd_by_keyboard_interactive(guest: Guest, alice: str) -> None:
    for pin, end in ((WRONG, r"Password: $"), (RIGHT, r"in:alice")):
        # sshd ends a conversation in which the ukey was refused, and begins anew.
        command, *arguments = guest.ssh(alice, "-o", "NumberOfPasswordPrompts=2")
        child = pexpect.spawn(command, [*arguments, "echo in:$(id -un)"], timeout=PATIENCE)
        child.expect(r"Password: $")
        child.sendline(f"{alice}-password")
        child.expect(PIN)
        child.sendline(pin)
        child.expect(end)
        child.close()


def test_the_pin_is_changed_by_whose_it_is(guest: Guest, alice: str) -> None:
    console = guest.console
    assert console.login(alice, RIGHT)
    for now, then in ((RIGHT, OTHER), (OTHER, RIGHT)):
        console.type("chpinpw")
        for prompt, answer in ((PIN, now), (r"New PIN: ?$", then), (r"New PIN again: ?$", then)):
            console.expect(prompt)
            console.type(answer)
        console.expect(SHELL)
        assert "is changed" in console.text
    console.logout()
