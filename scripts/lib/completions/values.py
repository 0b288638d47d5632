# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be offered for the value of an argument, by the word that stands for it in the help."""

from __future__ import annotations

from enum import StrEnum

from tools.parser import Argument


class Kind(StrEnum):
    """What a value is. A key press opens no session and asks no ukey."""

    NONE = "none"  #: there is none, or it is not to be guessed: names on a ukey
    WORDS = "words"  #: one of the argument's choices
    USERS = "users"
    FILES = "files"
    FOLDERS = "folders"
    SERVICES = "services"  #: names of files in /etc/pam.d
    STACKS = "stacks"  #: such a name, or any file
    SERIALS = "serials"  #: of ukeys that are in readers
    REVOKED = "revoked"  #: fingerprints of revoked keys


#: What is asked of the keyservice: the kind's values are this cell of what ``ukey`` prints as JSON
#: for this subcommand. It is the one program that a completion starts.
ASKED = {Kind.SERIALS: ("serial", "list"), Kind.REVOKED: ("key", "revocation list")}
#: Both by their paths: PATH may be anybody's. A keyservice that does not answer offers nothing.
ASK = "/usr/bin/timeout 2 /usr/bin/ukey"


_KINDS = {
    "USER": Kind.USERS,
    "FILE": Kind.FILES,
    "DIR": Kind.FOLDERS,
    "SERVICE": Kind.SERVICES,
    "FILE|SERVICE": Kind.STACKS,
    "SERIAL": Kind.SERIALS,
    "FINGERPRINT|SERIAL": Kind.REVOKED,
}


def kind_of(argument: Argument) -> Kind:
    if argument.choices:
        return Kind.WORDS
    return _KINDS.get(argument.value, Kind.NONE)
