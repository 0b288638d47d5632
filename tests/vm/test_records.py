# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who reads the records of who owns which ukey: nobody, root's shell included."""

from __future__ import annotations

import re

import pytest

from .guest import Guest

RECORD = "/etc/usbkey/alice"


@pytest.mark.parametrize(
    "command",
    [
        "ls /etc/usbkey",
        f"cat {RECORD}",
        f"echo x >>{RECORD}",
        f"echo x >{RECORD}2",
        f"rm -f {RECORD}",
        f"mv {RECORD} /root/",
        f"ln {RECORD} /root/record",
        f"chmod 644 {RECORD}",
        "rm -rf /etc/usbkey",
        "ls /var/lib/ukey",
        "echo x >/var/lib/ukey/revoked",
        "ln -s /tmp/root.sock /run/ukey/other.sock",
    ],
)
def test_root_s_own_shell_cannot(guest: Guest, alice: str, command: str) -> None:
    done = guest.root(command, check=False)
    assert done.returncode != 0
    # rm, which may not look into the folder, takes that for another error.
    assert re.search("Permission denied|Is a directory", done.stderr)
    assert alice in guest.root("ukey bindings").stdout
