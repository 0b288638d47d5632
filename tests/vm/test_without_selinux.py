# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The same package on a host whose kernel has no SELinux."""

from __future__ import annotations

import pytest

from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import Guest, given


@pytest.fixture
def plain(guest: Guest, alice: str) -> Guest:
    """The ukey is bound to alice. Nothing that is done there stays."""
    guest.power_cut(selinux=False)
    guest.wait_prompt()
    return guest


@pytest.mark.long  # it boots once more
def test_it_serves_a_host_without_selinux(plain: Guest) -> None:
    console = plain.console
    assert console.login("alice", RIGHT)  # as soon as anybody can, after power-on
    console.logout()
    plain.wait_ready()
    assert plain.root("getenforce").stdout == "Disabled\n"
    assert not console.login("alice", "13243546")
    assert plain.root("systemctl list-units --state=failed --plain --no-legend").stdout == ""

    _base, _disk, package, _logs = given()
    plain.put(package.read_bytes(), "/root/pam-ukey.deb")
    done = plain.root("dpkg --install --force-confold /root/pam-ukey.deb", seconds=200)
    assert "SELinux" not in done.stdout + done.stderr
    assert console.login("alice", RIGHT)
    console.logout()
