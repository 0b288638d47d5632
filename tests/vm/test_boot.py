# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a machine is like that has booted with the package, and the first login after power-on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import UNIT, Guest

#: What the keyservice waits for: until somebody waits for it, whose connection is another socket of
#: that name, beside the one that listens.
_LATE = "/etc/systemd/system/late.service"
_WAIT = "until [ $(grep -c /run/ukey/root.sock /proc/net/unix) -ge 2 ]; do sleep 0.2; done"
_LATE_UNIT = f"""\
[Service]
Type=oneshot
ExecStart=/bin/sh -c '{_WAIT}'
RemainAfterExit=yes
"""
_DROP_INS = f"/etc/systemd/system/{UNIT}.d"


def test_it_is_enforcing_with_all_of_our_policy(guest: Guest) -> None:
    assert guest.root("getenforce").stdout == "Enforcing\n"
    assert "ukey\n" in guest.root("semodule --list-modules").stdout
    assert json.loads(guest.root("ukey status --json").stdout)["selinux"] == "ukey_keyservice_t"
    assert guest.root("id -Z").stdout.startswith("unconfined_u:unconfined_r:unconfined_t:")


def test_no_unit_failed(guest: Guest) -> None:
    assert guest.root("systemctl list-units --state=failed --plain --no-legend").stdout == ""


def test_keyservice_and_workers_run_in_their_domains(guest: Guest) -> None:
    told = guest.root("ps -eo label,args").stdout.splitlines()
    domains = {
        program: {line.split(":")[2] for line in told if f"/usr/libexec/ukey/{program}" in line}
        for program in ("keyservice", "device-worker")
    }
    assert domains == {"keyservice": {"ukey_keyservice_t"}, "device-worker": {"ukey_worker_t"}}


def test_the_ukey_is_a_usb_device_that_libccid_drives(guest: Guest) -> None:
    told = guest.root("ukey list").stdout
    assert guest.ukey.serial in told
    assert "Watchdata USB Key" in told
    assert "irtual" not in told


@pytest.fixture
def late(guest: Guest) -> Iterator[Guest]:
    """At its next boot, the keyservice is later than whoever asks for it."""
    guest.put(_LATE_UNIT, _LATE)
    guest.put("[Unit]\nAfter=late.service\nWants=late.service\n", f"{_DROP_INS}/late.conf")
    yield guest
    guest.root(f"rm -r {_LATE} {_DROP_INS}; systemctl daemon-reload")


def test_the_first_login_after_power_on_comes_before_the_service_is_up(
    late: Guest, alice: str
) -> None:
    late.power_cut()
    late.wait_prompt()
    assert late.console.login(alice, RIGHT)
    late.console.logout()
    late.wait_ready()
    waited = late.root("systemctl show --property=ActiveState --value late.service").stdout
    assert waited == "active\n"
