# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What can be offered for the value of an argument, by the word that stands for it in the help."""

from __future__ import annotations

from enum import StrEnum

from tools.parser import Argument


class Kind(StrEnum):
    """What a value is. No completion asks the keyservice, or a ukey: a key press must not wait for
    a device, nor cost a session."""

    NONE = "none"  #: there is none, or it is not to be guessed: serials, names on a ukey
    WORDS = "words"  #: one of the argument's choices
    USERS = "users"
    FILES = "files"
    FOLDERS = "folders"
    SERVICES = "services"  #: names of files in /etc/pam.d
    STACKS = "stacks"  #: such a name, or any file


_KINDS = {
    "USER": Kind.USERS,
    "FILE": Kind.FILES,
    "DIR": Kind.FOLDERS,
    "SERVICE": Kind.SERVICES,
    "FILE|SERVICE": Kind.STACKS,
}


def kind_of(argument: Argument) -> Kind:
    if argument.choices:
        return Kind.WORDS
    return _KINDS.get(argument.value, Kind.NONE)
