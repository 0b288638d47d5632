# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether users reach readers, by pcscd's socket and by the USB device: systemd and udev ask that,
each in its own domain."""

from __future__ import annotations

from tests.guest.guest import Guest

CONFIG = "/etc/ukey/keyservice.toml"
#: As docs/install.md says.
EFFECT = (
    "systemctl daemon-reload",
    "systemctl stop pcscd.service && systemctl restart pcscd.socket",
    "udevadm control --reload && udevadm trigger --subsystem-match=usb && udevadm settle",
)
#: What may be denied to whom asks users-may; the guest itself looks for ours and pcscd's.
DENIED = "type=AVC .*(ukey-generator|users-may|ukey_conf_t|systemd_generator_t.*python)"


def mode(guest: Guest) -> str:
    return guest.root("stat --format=%a /run/pcscd/pcscd.comm").stdout.strip()


def tags(guest: Guest) -> list[str]:
    """All that the ukey's device ever had since it was plugged in: systemd heeds those."""
    [found] = guest.root("grep -l 163c /sys/bus/usb/devices/*/idVendor").stdout.split()
    device = found.rpartition("/")[0]
    told = guest.root(f"udevadm info --query=property --property=TAGS --value {device}").stdout
    return told.strip().split(":")


def test_one_setting_opens_what_is_closed(guest: Guest) -> None:
    guest.unplug()
    guest.plug()
    assert mode(guest) == "600"
    assert "uaccess" not in tags(guest)

    before = guest.root(f"cat {CONFIG}").stdout
    guest.put("shared_pcsc = true\n" + before, CONFIG)
    for command in EFFECT:
        guest.root(command)
    assert mode(guest) == "666"
    assert "uaccess" in tags(guest)

    guest.put(before, CONFIG)
    for command in EFFECT:
        guest.root(command)
    guest.unplug()  # who has it, keeps it until then
    guest.plug()
    assert mode(guest) == "600"
    assert "uaccess" not in tags(guest)
    assert guest.audited(DENIED) == []
