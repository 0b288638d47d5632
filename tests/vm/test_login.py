# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""People who log in, with a USB device for a ukey and SELinux enforcing."""

from __future__ import annotations

import pytest

from tests.guest.console import PIN, SHELL
from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import Guest

from .ways import WAYS, by_login, by_sudo

WRONG = "13243546"
OTHER = "97531864"


@pytest.mark.parametrize("name", WAYS)
def test_a_way_in(guest: Guest, alice: str, name: str) -> None:
    tries = guest.ukey.tries_left()
    with WAYS[name](guest, alice) as way:
        way.begin()
        assert not way.finish(WRONG)
        assert guest.ukey.tries_left() == tries - 1

        way.begin()
        guest.unplug()  # while the PIN is typed
        assert not way.finish(RIGHT)
        guest.plug()

        way.begin()
        assert way.finish(RIGHT)
        way.leave()
    assert guest.ukey.tries_left() == tries


def test_bound_and_unbound(guest: Guest, alice: str) -> None:
    """Nobody needs a ukey who never had one: the package's profile says nouserok."""
    guest.unbind(alice)
    assert not guest.console.login(alice, None)
    guest.root(f"ukey forget --yes {alice}")
    assert guest.console.login(alice, None)
    guest.console.logout()
    guest.bind(alice)
    with by_login(guest, alice) as way:
        way.begin()
        assert way.finish(RIGHT)
        way.leave()


def test_confined_staff_has_a_ukey_too(guest: Guest, alice: str) -> None:
    """sudo runs in a domain of its own there, and so do the tools that ask for him."""
    guest.unbind(alice)
    guest.bind("bob")
    with by_sudo(guest, "bob") as way:
        assert ":staff_t:" in guest.console.run("id -Z")
        way.begin()
        assert way.finish(RIGHT)
        assert guest.ukey.serial in guest.console.run("ukey list")
        change_pin(guest, RIGHT, OTHER)
        change_pin(guest, OTHER, RIGHT)
    guest.unbind("bob")


def change_pin(guest: Guest, now: str, then: str) -> None:
    guest.console.type("chpinpw")
    for prompt, answer in ((PIN, now), (r"New PIN: ?$", then), (r"New PIN again: ?$", then)):
        guest.console.expect(prompt)
        guest.console.type(answer)
    guest.console.expect(SHELL)
    assert "is changed" in guest.console.text


def test_the_pin_is_changed_by_whose_it_is(guest: Guest, alice: str) -> None:
    console = guest.console
    assert console.login(alice, RIGHT)
    for now, then in ((RIGHT, OTHER), (OTHER, RIGHT)):
        change_pin(guest, now, then)
    console.logout()
