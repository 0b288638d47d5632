# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Texts with ssh's public keys: what sshd tells PAM that it has verified, and public key files.

sshd puts its text into the variable ``SSH_AUTH_INFO_0`` (OpenSSH 9.2 to 10.0, ``auth2.c``,
``auth2_update_session_info``): for each method that has succeeded so far a line

    METHOD[/SUBMETHOD][ TYPE BASE64][ INFORMATION]\\n

of which only those of ``publickey`` are of use here.
"""

from __future__ import annotations

import base64
import binascii
import re

from keyservice.core.reasons import Reason

from .ssh_wire import BLOB_MAX, NoSshKey, SshKey, parse

#: Lines of one login: sshd allows six attempts by default, and no sensible list of methods is
#: longer.
_LINES_MAX = 32
_TYPE = re.compile(r"[a-z0-9-]{1,48}(?:@openssh\.com)?")
_BASE64 = re.compile(rf"[A-Za-z0-9+/]{{1,{BLOB_MAX * 4 // 3 + 4}}}={{0,2}}")
_METHOD = re.compile(r"[a-z0-9@.-]{1,64}(?:/[A-Za-z0-9@._-]{1,64})?")
_PUBLICKEY = "publickey"
#: Bytes of a public key file with one key and its comment.
FILE_MAX = 16384


def verified(text: str) -> list[SshKey]:
    """The keys that sshd has verified, in its order: each proves that the client has that key.

    Raises :class:`NoSshKey` for a text that no sshd writes.
    """
    *lines, last = text.split("\n")
    if last or len(lines) > _LINES_MAX:
        raise NoSshKey("a text of sshd's ends with a newline, and has few lines")
    return [key for key in map(_line, lines) if key is not None]


def _line(line: str) -> SshKey | None:
    method, _, rest = line.partition(" ")
    if not _METHOD.fullmatch(method):
        raise NoSshKey("a line of sshd's names no method")
    if method != _PUBLICKEY:
        return None
    words = rest.split(" ", 2)
    if len(words) < 2:
        raise NoSshKey("a line of sshd's names no key")
    return _key(words[0], words[1])


def _key(type_: str, encoded: str) -> SshKey:
    if not _TYPE.fullmatch(type_) or not _BASE64.fullmatch(encoded):
        raise NoSshKey(Reason.SSH_NO_KEY)
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise NoSshKey(Reason.SSH_NO_KEY) from None
    if base64.b64encode(blob).decode() != encoded:
        raise NoSshKey("a key's Base64 has bits that mean nothing")
    return parse(blob, type_)


def from_file(text: str) -> SshKey:
    """The one key of a public key file: ``TYPE BASE64 [COMMENT]``, and no options.

    Raises :class:`NoSshKey` with a reason for people.
    """
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    if not lines:
        raise NoSshKey(Reason.SSH_NO_KEY)
    if "PRIVATE KEY" in lines[0]:
        raise NoSshKey(Reason.SSH_PRIVATE)
    if len(lines) > 1:
        raise NoSshKey(Reason.SSH_SEVERAL)
    words = lines[0].split(None, 2)
    if len(words) < 2:
        raise NoSshKey(Reason.SSH_NO_KEY)
    if not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        options = any(word.startswith(("ssh-", "ecdsa-", "sk-")) for word in lines[0].split()[1:])
        raise NoSshKey(Reason.SSH_OPTIONS if options else Reason.SSH_NO_KEY)
    try:
        found = _key(words[0], words[1])
    except NoSshKey as error:
        if error.facts.get("why") in (Reason.SSH_TYPE, Reason.SSH_NO_KEY):
            raise
        raise NoSshKey(Reason.SSH_NO_KEY) from None
    if found.certified:
        raise NoSshKey(Reason.SSH_CERTIFICATE)
    if found.key is None:
        raise NoSshKey(
            Reason.SSH_RSA if found.type == "ssh-rsa" else Reason.SSH_TYPE, type=found.type
        )
    return found
