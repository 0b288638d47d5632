# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What systemd and udev of this Debian make of the product's files, where neither of them runs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.support.process import must, run

GENERATOR = Path("/usr/lib/systemd/system-generators/ukey-generator")
#: systemd wants a control group and /run/systemd, and in its test mode to be nobody.
_SYSTEMD = """
mount -t cgroup2 none /sys/fs/cgroup || exit 77
mkdir -p /run/systemd && mount -t tmpfs -o mode=777 none /run/systemd
exec setpriv --reuid=65534 --regid=65534 --clear-groups \
    /usr/lib/systemd/systemd --test --system --unit="$1"
"""
#: What udev would write goes with the mounts.
_UDEV = """
mount --bind "$1" /sys
mkdir -p /run/udev /dev/char
mount -t tmpfs none /run/udev
if [ -n "$3" ]; then
    mkdir /run/udev/data
    printf '%s' "$3" >/run/udev/data/c189:1
fi
mount -t tmpfs none /dev/char
exec udevadm test --action=add "$2" 2>&1
"""
_PORT = "/devices/pci0000:00/0000:00:01.0/usb1/1-1"
#: A device, its configuration, an interface of class 0b (a smart-card reader's) and an end point.
_DESCRIPTORS = bytes.fromhex(
    "12010002000000403c16170400010102030109021900010100803209040000010b00000007058103080020"
)
_UEVENT = """\
MAJOR=189
MINOR=1
DEVNAME=bus/usb/001/002
DEVTYPE=usb_device
PRODUCT=163c/417/100
"""


def generate(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the generator as systemd does, with its three directories below `folder`."""
    directories = [folder / name for name in ("generator", "generator.early", "generator.late")]
    for directory in directories:
        directory.mkdir()
    return run([GENERATOR, *directories], env={})


def as_loaded(unit: str) -> dict[str, list[str]] | None:
    """A unit's settings as systemd would start it, drop-ins and generators included; None where
    there is no control group to look with."""
    done = run(["unshare", "--mount", "sh", "-c", _SYSTEMD, "sh", unit], seconds=60)
    if done.returncode == 77:
        return None
    assert done.returncode == 0, done.stderr
    [told] = re.findall(rf"-> Unit {re.escape(unit)}:\n((?:\t\t.*\n)+)", done.stdout)
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^\t+([\w ]+): (.*)$", told, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def plug_in(vendor: str, product: str, folder: Path, known: str = "") -> dict[str, str]:
    """The properties that udev gives a reader with these USB ids by all rules that are installed.

    `known`: what its database has of the device from an earlier event.
    ``run``: the commands that it would run in the end; ``mode``: the device's, where a rule sets
    it. Below `folder` lies its /sys.
    """
    device = folder / _PORT[1:]
    device.mkdir(parents=True)
    (folder / "bus/usb").mkdir(parents=True)
    (device / "subsystem").symlink_to("/sys/bus/usb")
    (device / "uevent").write_text(_UEVENT)
    (device / "descriptors").write_bytes(_DESCRIPTORS)
    for name, value in (("idVendor", vendor), ("idProduct", product), ("bcdDevice", "0100")):
        (device / name).write_text(f"{value}\n")
    told = must(
        ["unshare", "--mount", "sh", "-e", "-c", _UDEV, "sh", folder, _PORT, known],
        env={"PATH": os.environ["PATH"], "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"},
    )
    found = dict(re.findall(r"^([A-Z_]+)=(.*)$", told, re.MULTILINE))
    found["run"] = " ".join(re.findall(r"^run: '(.*)'$", told, re.MULTILINE))
    modes = re.findall(r"MODE (\d+)$", told, re.MULTILINE)
    found["mode"] = modes[-1] if modes else ""
    return found
