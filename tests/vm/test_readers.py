# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether whoever sits at the machine reaches readers: pcscd's socket and the USB device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guest.console import PATIENCE
from tests.guest.guest import Guest
from tests.support.process import wait_until

CONFIG = "/etc/ukey/keyservice.toml"
#: As docs/install.md says.
EFFECT = (
    "systemctl daemon-reload",
    "systemctl stop pcscd.service && systemctl restart pcscd.socket",
    "udevadm control --reload && udevadm trigger --subsystem-match=usb && udevadm settle",
)
#: What may be denied to whom asks users-may; the guest's own look for ours and pcscd's.
DENIED = "type=AVC .*(ukey-generator|users-may|ukey_conf_t|systemd_generator_t.*python)"


@pytest.fixture
def bob(guest: Guest) -> Iterator[str]:
    """He sits at the machine: the session of seat0's first terminal is his."""
    guest.root("systemctl stop getty@tty1.service")
    guest.root(
        "systemd-run --unit=desk --uid=bob --property=PAMName=login --property=TTYPath=/dev/tty1 "
        "--property=StandardInput=tty --setenv=XDG_VTNR=1 --setenv=XDG_SEAT=seat0 sleep infinity"
    )
    wait_until(
        lambda: (
            guest.root("loginctl show-seat seat0 --property=ActiveSession --value").stdout != "\n"
        ),
        "somebody sits at the machine",
        seconds=PATIENCE,
    )
    yield "bob"
    guest.root("systemctl stop desk.service; systemctl start getty@tty1.service", check=False)


@pytest.fixture
def settings(guest: Guest) -> Iterator[Settings]:
    made = Settings(guest)
    yield made
    made.write(made.before)


class Settings:
    """The guest's configuration, changed as an administrator does."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.before = guest.root(f"cat {CONFIG}").stdout

    def write(self, text: str) -> None:
        self._guest.put(text, CONFIG)
        for command in EFFECT:
            self._guest.root(command)
        self._guest.wait_ukey()


def device(guest: Guest) -> str:
    """The node of the ukey."""
    [found] = guest.root("grep -l 163c /sys/bus/usb/devices/*/idVendor").stdout.split()
    path = found.rpartition("/")[0]
    return guest.root(f"udevadm info --query=name --root --path={path}").stdout.strip()


def may_write(guest: Guest, name: str, path: str) -> bool:
    return guest.root(f"runuser -u {name} -- test -w {path}", check=False).returncode == 0


def denials(guest: Guest) -> list[str]:
    told = guest.root(f"grep -E '{DENIED}' /var/log/audit/audit.log", check=False).stdout
    return told.splitlines()


def test_one_setting_opens_what_is_closed(guest: Guest, bob: str, settings: Settings) -> None:
    before = denials(guest)
    for text, mode, open_ in (("", "600", False), ("shared_pcsc = true\n", "666", True)):
        if text:
            settings.write(text + settings.before)
        assert guest.root("stat --format=%a /run/pcscd/pcscd.comm").stdout.strip() == mode
        assert may_write(guest, bob, "/run/pcscd/pcscd.comm") == open_
        assert may_write(guest, bob, device(guest)) == open_
    assert denials(guest)[len(before) :] == []
