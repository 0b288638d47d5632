# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Why the key that ssh has proven lets nobody in. ``ssh`` is its fingerprint as ssh shows it."""

from __future__ import annotations

from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.marks import N_

from .base import UkeyError


class SshKeyRefused(UkeyError):
    """The ssh key is not one that lets this person in. Facts: user, ssh."""

    name, code, exit = ErrorName.SSH_KEY_REFUSED, Code.AUTH_ERR, Exit.NOT_BOUND
    text = N_(
        "The ssh key {ssh} is not registered for {user} on this host. An administrator adds it"
        " with 'ukey ssh-key add {user} --from-file FILE'."
    )
    login_text = N_(
        "The ssh key {ssh} is not registered for you on this host. Log in with one that is (ssh -i"
        " FILE), or ask an administrator."
    )


class SshKeyMissing(SshKeyRefused):
    """sshd has verified no key. Facts: user."""

    text = N_(
        "sshd has verified no key of {user}. It asks for one where its configuration says"
        " 'AuthenticationMethods publickey,keyboard-interactive:pam'."
    )
    login_text = N_(
        "ssh has shown no key. Log in with the ssh key that is registered for you on this host (ssh"
        " -i FILE), or ask an administrator."
    )


class SshKeyOthers(SshKeyRefused):
    """The ssh key is registered for somebody else. Facts: user, ssh, owner."""


class SshKeyRevoked(SshKeyRefused):
    """The ssh key was revoked on this host. Facts: user, ssh, key."""

    text = N_(
        "The ssh key {ssh} was revoked on this host. If it was found again, an administrator takes"
        " that back with: ukey revocation undo {key}"
    )
    login_text = N_("The ssh key {ssh} was revoked on this host. Ask an administrator.")


class SshKeyKind(SshKeyRefused):
    """The configuration does not take ssh keys of this kind. Facts: user, ssh, kind."""

    text = N_(
        "The ssh key {ssh} is of the kind {kind}, which this host does not take: ssh_keys in"
        " [policy] of keyservice.toml."
    )
    login_text = N_(
        "This host takes no ssh key of that kind: it has to be on a ukey or a security key. Ask an"
        " administrator."
    )


class SshKeyUntold(SshKeyRefused):
    """sshd's PAM stack does not tell safely which key was verified. Facts: why, path."""

    text = N_(
        "Which ssh key sshd has verified cannot be known: {path}: {why}. Its first auth line has to"
        " be 'auth optional pam_ukey.so take_ssh_key'."
    )
    login_text = N_(
        "This host cannot know which ssh key you have shown. Ask an administrator: the log says"
        " what is missing."
    )


class SshKeyAbsent(SshKeyRefused):
    """The user has no such ssh key here. Facts: user, key."""

    text = N_("{user} has no ssh key {key} here. See 'ukey ssh-key list {user}'.")
