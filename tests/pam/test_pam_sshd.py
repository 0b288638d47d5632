# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""sshd's own settings, which the stacks need."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.pam.stacks import EXAMPLES
from tests.support.process import must


def test_sshd_takes_the_drop_in(tmp_path: Path) -> None:
    drop_in = EXAMPLES / "sshd_config.d/10-ukey.conf"
    key = tmp_path / "key"
    must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    config = tmp_path / "sshd_config"
    config.write_text(f"Include {drop_in}\nHostKey {key}\nPasswordAuthentication yes\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    said = subprocess.run(
        ["/usr/sbin/sshd", "-T", "-f", config], capture_output=True, text=True, timeout=20
    )
    assert said.returncode == 0, said.stderr
    settings = set(said.stdout.splitlines())
    assert {
        "authenticationmethods publickey,keyboard-interactive:pam",
        "passwordauthentication no",
        "kbdinteractiveauthentication yes",
        "usepam yes",
    } <= settings
