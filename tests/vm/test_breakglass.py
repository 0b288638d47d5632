# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The way in when nothing of ours works, where SELinux has its say too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.guest.guest import UNIT, Guest
from tests.support import CHECKOUT

LOGIN = "/etc/pam.d/login"
EXAMPLE = CHECKOUT / "pam.d-examples/debian/helpful/login"
UNITS = f"ukey-keyservice.socket ukey-keyservice-user.socket {UNIT}"


@pytest.fixture
def broken(guest: Guest, alice: str) -> Iterator[Guest]:
    """login's stack is the example's, bob is a member, and the keyservice cannot be had."""
    before = guest.root(f"cat {LOGIN}").stdout
    try:
        guest.put(EXAMPLE.read_text(), LOGIN)
        guest.root("groupadd ukey-breakglass && gpasswd --add bob ukey-breakglass")
        guest.root(f"systemctl stop {UNITS}")
        yield guest
    finally:
        guest.put(before, LOGIN)
        guest.root("systemctl start ukey-keyservice.socket ukey-keyservice-user.socket")
        guest.root("groupdel ukey-breakglass")
        guest.wait_ukey()


def test_a_member_gets_in_at_the_console_and_nobody_else(broken: Guest, alice: str) -> None:
    console = broken.console
    assert console.login("bob", None)
    assert ":staff_t:" in console.run("id -Z")
    console.logout()
    told = broken.root("journalctl --boot --priority=alert --identifier=ukey-breakglass").stdout
    assert "the password alone lets in without a ukey: user=bob service=login tty=ttyS0" in told

    console.begin(alice, pin=False)
    assert not console.shell_came()
    told = broken.root("journalctl --boot --identifier=login").stdout
    assert re.search(r"pam_ukey.*cannot .* the keyservice", told), told
    assert broken.service("MainPID") == "0"
