# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The keyservice as systemd keeps it: there when it is wanted, and there again when it was not."""

from __future__ import annotations

from tests.support.process import wait_until

from .console import PATIENCE
from .guest import PIN as RIGHT
from .guest import Guest

UNIT = "ukey-keyservice.service"


def pid(guest: Guest) -> str:
    return guest.root(f"systemctl show --property=MainPID --value {UNIT}").stdout.strip()


def wait_another(guest: Guest, before: str) -> None:
    wait_until(lambda: pid(guest) not in (before, "0"), "another keyservice", seconds=PATIENCE)


def test_a_login_that_comes_before_the_service_starts_it(guest: Guest, alice: str) -> None:
    guest.root(f"systemctl stop {UNIT}")
    assert pid(guest) == "0"
    assert guest.console.login(alice, RIGHT)
    assert pid(guest) != "0"
    guest.console.logout()


def test_a_crash_costs_the_login_under_way_and_no_other(guest: Guest, alice: str) -> None:
    guest.console.begin(alice)
    before = pid(guest)
    guest.root(f"kill -KILL {before}")
    guest.console.type(RIGHT)
    assert not guest.console.shell_came()
    wait_another(guest, before)
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()


def test_the_watchdog_brings_a_hung_one_back(guest: Guest, alice: str) -> None:
    before = pid(guest)
    guest.root(f"kill -STOP {before}")
    wait_another(guest, before)
    assert "watchdog" in guest.root(f"journalctl --boot --unit {UNIT}").stdout.lower()
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()


def test_users_reach_neither_pcscd_nor_the_usb_device(guest: Guest) -> None:
    assert guest.root("stat --format=%a /run/pcscd/pcscd.comm").stdout == "600\n"
    for device in guest.root("grep -l 163c /sys/bus/usb/devices/*/idVendor").stdout.split():
        told = guest.root(f"udevadm info --query=property --path={device.rpartition('/')[0]}")
        assert "uaccess" not in told.stdout.partition("CURRENT_TAGS=")[2].partition("\n")[0]
