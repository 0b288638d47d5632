# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The vendored libraries: published wheels, each known by its hash, unpacked and not run."""

from __future__ import annotations

import calendar
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from . import InstallError

DOWNLOAD_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Pin:
    """One requirement: the SHA-256 of each file that may serve it, in hexadecimal."""

    name: str
    version: str
    hashes: frozenset[str]

    @property
    def wheel_prefix(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}-"


def parse_pins(requirements: str) -> list[Pin]:
    """The pins of a requirements file as scripts/lib/pin-requirements writes it."""
    pins = []
    for entry in re.split(r"\n(?=[A-Za-z0-9])", requirements.replace("\\\n", " ")):
        match = re.match(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)\s", entry)
        if match:
            hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry))
            pins.append(Pin(match[1], match[2], hashes))
    return pins


def unpack(requirements: Path, target: Path, wheels: Path | None) -> None:
    """Unpack each pinned library into `target`, from the directory `wheels` or the package index.

    Raises :class:`InstallError` when none fits this Python, or its hash is not the pinned one.
    """
    pins = parse_pins(requirements.read_text())
    with tempfile.TemporaryDirectory() as downloads:
        if wheels is None:
            wheels = Path(downloads)
            download(requirements, wheels)
        for pin in pins:
            wheel = choose(pin, wheels)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if digest not in pin.hashes:
                raise InstallError(f"{wheel} is not the file that was published: SHA-256 {digest}")
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".so") and not fits(wheel):
                        continue
                    path = archive.extract(member, target)
                    seconds = calendar.timegm(member.date_time)
                    os.utime(path, (seconds, seconds))


def fits(wheel: Path) -> bool:
    """Whether its compiled parts are for this Python and processor."""
    _, _, tag, _, machine = wheel.stem.split("-")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return tag == python and machine.endswith(f"_{platform.machine()}")


def choose(pin: Pin, wheels: Path) -> Path:
    """The wheel for this Python and processor, or else any: its compiled parts have their Python
    sources beside them, which run everywhere."""
    found = sorted(wheels.glob(f"{pin.wheel_prefix}*.whl"))
    if not found:
        raise InstallError(f"{wheels} holds no wheel of {pin.name} {pin.version}")
    return next(filter(fits, found), found[0])


def download(requirements: Path, target: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]
    command += [
        "--only-binary",
        ":all:",
        "--dest",
        str(target),
        "--requirement",
        str(requirements),
    ]
    try:
        subprocess.run(command, check=True, timeout=DOWNLOAD_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise InstallError(f"the package index did not answer in {DOWNLOAD_SECONDS} s") from None
    except subprocess.CalledProcessError:
        raise InstallError(
            "pip could not download a library: install python3-pip and try again with a network, "
            f"or give --wheels DIR with a wheel that {requirements} knows by its hash"
        ) from None
