# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who reads the records of who owns which ukey: nobody, root's shell included."""

from __future__ import annotations

import pytest

from tests.guest.guest import Guest

RECORD = "/etc/usbkey/alice"
#: what root's own shell tries, and is refused
TRIED = (
    "ls /etc/usbkey",
    f"cat {RECORD}",
    f"echo x >>{RECORD}",
    f"echo x >{RECORD}2",
    f"rm -f {RECORD}",
    f"mv {RECORD} /root/",
    f"ln {RECORD} /root/record",
    f"chmod 644 {RECORD}",
    f"chcon -t etc_t {RECORD}",
    "chcon -t etc_t /etc/usbkey",
    "rm -rf /etc/usbkey",
    "mv /etc/usbkey /etc/usbkey2",
    "mount --bind /tmp /etc/usbkey",
    "ls /var/lib/ukey",
    "cat /var/lib/ukey/revoked",
    "echo x >/var/lib/ukey/revoked",
    "ln -s /tmp/root.sock /run/ukey/other.sock",
    "rm /run/ukey/root.sock",
)


@pytest.mark.denied
def test_root_s_own_shell_is_refused(guest: Guest, alice: str) -> None:
    assert guest.root("id -Z").stdout.startswith("unconfined_u:unconfined_r:unconfined_t:")
    # rm, which may not look into the folder, takes that for another error; mount does not say.
    refused = ("Permission denied", "permission denied", "Is a directory", "bind /tmp failed")
    allowed, denied = [], len(guest.denials())
    for command in TRIED:
        done = guest.root(command, check=False)
        if done.returncode == 0 or not any(word in done.stderr for word in refused):
            allowed.append((command, done.returncode, done.stderr))
    assert allowed == []
    # They are logged, too: or no other test's "nobody was denied" would say anything.
    assert len(guest.denials()) > denied
    assert alice in guest.root("ukey bindings").stdout
