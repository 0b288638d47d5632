# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a report says of the host: versions. No host name, no address, no person, no serial."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def of_this_host() -> dict[str, str]:
    systemd = Path("/run/systemd/system").exists()
    return {
        "host": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
        "machine": platform.machine(),
        "kernel": platform.release() if systemd else "not the distribution's",
        "pam": _package("libpam0g", "pam"),
        "ssh": _package("openssh-server", "openssh-server"),
        "pcscd": _package("pcscd", "pcsc-lite"),
        "python": platform.python_version(),
        "systemd": "yes" if systemd else "no",
        "selinux": _first(["getenforce"]) or "no",
        "pam_ukey": (_first(["/usr/bin/ukey", "--version"]) or "?").removeprefix("pam-ukey "),
        "ukey": _ukey(),
        "on": datetime.now(UTC).date().isoformat(),
    }


def _ukey() -> str:
    """The kind and the maker of the ukey that is in."""
    try:
        rows = json.loads(_first(["/usr/bin/ukey", "list", "--json"]))["ukeys"]
        row = next(row for row in rows if row["kind"])
    except (ValueError, KeyError, TypeError, StopIteration):
        return "?"
    if row["virtual"]:
        return "emulated"
    maker = re.sub(r"[^\w .,-]", "", str(row["manufacturer"] or ""))[:32].strip()
    return f"{row['kind']}, {maker}" if maker else str(row["kind"])


def _package(deb: str, rpm: str) -> str:
    """The version of a distribution's package, by dpkg or rpm."""
    for command in (["dpkg-query", "-W", "-f", "${Version}", deb], ["rpm", "-q", rpm]):
        if found := _first(command):
            return found
    return "?"


def _first(command: list[str]) -> str:
    """The first line of what a command prints; empty where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
