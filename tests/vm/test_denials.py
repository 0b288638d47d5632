# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A whole life with a ukey: SELinux denies our domains, pcscd and whoever asks us nothing in it."""

from __future__ import annotations

from .guest import PIN as RIGHT
from .guest import Guest


def test_nothing_of_ours_is_denied(guest: Guest) -> None:
    before = len(guest.denials())
    guest.bind("alice")
    assert guest.console.login("alice", RIGHT)
    guest.console.run("ukey list")
    guest.console.logout()
    assert not guest.console.login("alice", "13243546")
    guest.unplug()
    guest.wait_ukey(there=False)
    guest.plug()
    guest.wait_ukey()
    assert guest.console.login("alice", RIGHT)
    guest.console.logout()
    guest.unbind("alice")
    assert guest.denials()[before:] == []
