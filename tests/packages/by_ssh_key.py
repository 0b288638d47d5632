# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``docs/ssh.md`` with the distribution's own sshd: ``tests/system/test_ssh_keys.py`` has every
case with that of Debian 12."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must
from tests.support.programs import Outcome
from tests.support.stacks import without_pauses

INSTALLED = Path("/usr/share/doc/pam-ukey/pam.d-examples")
TAKES = "auth optional pam_ukey.so take_ssh_key\n"
#: It writes, from the first line on, what the user says; libpam gives it no later chance.
FORGES = "auth required pam_env.so user_readenv=1\n"
BOTH = "AuthenticationMethods publickey,keyboard-interactive:pam\n"


def follow(host: Host, user: User) -> None:
    """The registered key lets in, with the password; another one does not, nor does a stack in
    which something may have been written before."""
    keys = [_key(host, name) for name in ("own", "other")]
    folder = user.home / ".ssh"
    folder.mkdir(mode=0o700)
    authorized = folder / "authorized_keys"
    authorized.write_text("".join(key.with_suffix(".pub").read_text() for key in keys))
    for path in (folder, authorized):
        shutil.chown(path, user.uid, user.gid)
    own, other = keys
    must(["ukey", "ssh-key", "add", user.name, "--from-file", own.with_suffix(".pub")])
    lines = (INSTALLED / "debian/helpful/sshd").read_text().splitlines(keepends=True)
    rest = "".join(line for line in lines if "take_ssh_key" not in line)
    host.pam.stack("sshd", TAKES + without_pauses(rest))
    drop_in = (INSTALLED / "sshd_config.d/10-ukey.conf").read_text()
    sshd = host.sshd(BOTH + drop_in)

    since = len(host.authlog.lines)
    entered = _ssh(host, user, own)
    assert entered.allowed, entered.screen + host.authlog.text
    host.authlog.wait_for("ssh_key=SHA256:.* verdict=SUCCESS", since)
    refused = _ssh(host, user, other)
    assert not refused.allowed and refused.prompts == ["Password:"], refused.screen
    host.authlog.wait_for("SshKeyRefused: The ssh key is not one that lets", since)
    host.pam.stack("sshd", FORGES + TAKES + without_pauses(rest))
    assert not _ssh(host, user, own).allowed
    host.authlog.wait_for("another auth line stands before", since)

    sshd.stop()
    mark = must(["ssh-keygen", "-l", "-f", own]).split()[1]
    must(["ukey", "ssh-key", "remove", user.name, mark])


def _key(host: Host, name: str) -> Path:
    file = host.folder / f"{name}.ssh"
    must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file])
    file.with_name(f"{file.name}.pub").rename(file.with_suffix(".pub"))
    return file


def _ssh(host: Host, user: User, key: Path) -> Outcome:
    """ssh reads the public key beside the private one, if it is there."""
    methods = ["-o", "PreferredAuthentications=publickey,keyboard-interactive"]
    mine = ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", str(key)]
    return host.ssh(user, [user.password], options=[*mine, *methods])
