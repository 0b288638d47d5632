# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a machine is like that has booted with the package."""

from __future__ import annotations

from .guest import Guest


def test_it_is_enforcing_with_all_of_our_policy(guest: Guest) -> None:
    assert guest.root("getenforce").stdout == "Enforcing\n"
    assert "ukey\n" in guest.root("semodule --list-modules").stdout
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
