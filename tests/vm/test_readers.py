# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether users reach readers, by pcscd's socket and by the USB device: systemd and udev ask that,
each in its own domain."""

from __future__ import annotations

import re

from tests.guest.guest import Guest
from tests.support import CHECKOUT

CONFIG = "/etc/ukey/keyservice.toml"
#: What docs/install.md tells to do.
[EFFECT] = re.findall(
    r"```\n(systemctl daemon-reload\n(?:.+\n)*udevadm .+\n)```",
    (CHECKOUT / "docs/install.md").read_text(),
)
#: What may be denied to whom asks users-may; the guest itself looks for ours and pcscd's.
DENIED = "type=AVC .*(ukey-generator|users-may|ukey_conf_t|systemd_generator_t.*python)"


def mode(guest: Guest) -> str:
    return guest.root("stat --format=%a /run/pcscd/pcscd.comm").stdout.strip()


def device(guest: Guest) -> dict[str, str]:
    """udev's properties of the ukey's. TAGS: all since it was plugged in, which systemd heeds."""
    [found] = guest.root("grep -l 163c /sys/bus/usb/devices/*/idVendor").stdout.split()
    told = guest.root(f"udevadm info --query=property {found.rpartition('/')[0]}").stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def tags(guest: Guest) -> list[str]:
    return device(guest)["TAGS"].split(":")


def device_mode(guest: Guest) -> str:
    return guest.root(f"stat --format=%a {device(guest)['DEVNAME']}").stdout.strip()


def test_one_setting_opens_what_is_closed(guest: Guest) -> None:
    assert (mode(guest), device_mode(guest)) == ("600", "660")
    assert "uaccess" not in tags(guest)

    before = guest.root(f"cat {CONFIG}").stdout
    guest.put("shared_pcsc = true\n" + before, CONFIG)
    guest.root(f"set -e; {EFFECT}udevadm settle")
    assert mode(guest) == "666"
    assert "uaccess" in tags(guest)
    guest.unplug()
    guest.plug()
    assert device_mode(guest) == "664"

    guest.put(before, CONFIG)
    guest.root(f"set -e; {EFFECT}udevadm settle")
    guest.unplug()  # who has it, keeps it until then
    guest.plug()
    assert (mode(guest), device_mode(guest)) == ("600", "660")
    assert "uaccess" not in tags(guest)
    assert guest.audited(DENIED) == []
