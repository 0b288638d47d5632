# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What tests change in a guest, as it is now: to see that a test has put it back."""

from __future__ import annotations

from collections.abc import Iterable

from .guest import UNIT, Guest

_UNITS = f"{UNIT} ukey-keyservice.socket ukey-keyservice-user.socket pcscd.socket auditd.service"
#: Sessions of demo, alice and bob. They end a moment after the connection that they serve.
_SESSIONS = "ls -d /sys/fs/cgroup/user.slice/user-100?.slice/session-* 2>/dev/null"
_SETTLE = f"for turn in $(seq 300); do {_SESSIONS} >/dev/null || break; sleep 0.1; done"
#: By name, a command of root's shell: cheap ones, they are given after each test.
_ASKED = {
    "SELinux": "cat /sys/fs/selinux/enforce",
    "policy": "cksum </etc/selinux/default/policy/policy.*",
    "version": "grep --max-count=1 --after-context=8 '^Package: pam-ukey$' /var/lib/dpkg/status",
    "failed units": "systemctl list-units --state=failed --plain --no-legend",
    "units": f"systemctl is-active {_UNITS}",
    "files": "find /etc/systemd /run/systemd/system /etc/udev /usr/local /etc/ukey /etc/pam.d /home"
    " ! -name .bash_history ! -name .sudo_as_admin_successful -printf '%p %m %l\n' | sort",
    "contents": "cksum /etc/ukey/* /etc/pam.d/* /etc/group",
    # Root may not look into /run/ukey.
    "labels": "stat --format='%n %C' /etc/ukey/* /run/ukey/root.sock /run/ukey/user.sock"
    " /usr/libexec/ukey/*",
    "sessions": _SESSIONS,
}


def traces(guest: Guest) -> dict[str, str]:
    """By name, what the guest says to each."""
    script = "".join(f"echo '=== {name}'; {asked}\n" for name, asked in _ASKED.items())
    told = guest.root(f"{_SETTLE}; {script}:", check=False).stdout
    parts = [part.partition("\n") for part in told.split("=== ")[1:]]
    return {name: answer for name, _, answer in parts}


def changed(before: dict[str, str], now: dict[str, str], but: Iterable[str]) -> list[str]:
    """Lines that are there in one of the two; nothing of those named in `but`."""
    return [
        f"{name}: {sign} {line}"
        for name in sorted(_ASKED.keys() - set(but))
        for sign, one, other in (("-", before, now), ("+", now, before))
        for line in one[name].splitlines()
        if line not in other[name].splitlines()
    ]
