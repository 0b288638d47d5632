# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""From the name that PAM was given to a person, and from a person to a file name."""

from __future__ import annotations

import pwd
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from .errors import BadRequest, UnknownUser
from .reasons import Reason

#: Longest user name that is looked up, in bytes of UTF-8. Linux's own tools stop at 32; directory
#: services go further.
NAME_MAX = 256

_PLAIN = re.compile(r"[A-Za-z0-9_-]")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/]")


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the host's name service knows it: ``pw_name`` and ``pw_uid``."""

    name: str
    uid: int


def resolve(name: str) -> Person:
    """Look `name` up and return the canonical person.

    The returned name is ``pw_name``, which may be spelled otherwise than `name` (SSSD and winbind
    fold case or add a domain). Blocks as long as the name service does; the service calls it off
    the event loop, with a deadline.

    Raises :class:`BadRequest` for a name that can be nobody's, :class:`UnknownUser` for one that
    the name service does not know.
    """
    check(name)
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UnknownUser(user=name) from None
    check(entry.pw_name)
    return Person(entry.pw_name, entry.pw_uid)


def resolve_uid(uid: int) -> Person:
    """The person who has `uid`. Blocks and raises like :func:`resolve`."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise UnknownUser(uid=uid) from None
    person = resolve(name)
    if person.uid != uid:
        raise UnknownUser(uid=uid)
    return person


def check(name: str) -> None:
    """Refuse names that are empty, too long, or hold a slash or a control character."""
    if not name or len(name.encode("utf-8", "surrogateescape")) > NAME_MAX:
        raise BadRequest(Reason.USER_LENGTH)
    if _FORBIDDEN.search(name) or name in (".", ".."):
        raise BadRequest(Reason.USER_CHARACTERS)


def is_file_name(name: str) -> bool:
    """Whether :func:`file_name` can have made `name`: no other file is a record."""
    try:
        user = unquote_to_bytes(name.encode("utf-8", "surrogateescape"))
        return file_name(user.decode("utf-8", "surrogateescape")) == name
    except BadRequest:
        return False


def file_name(name: str) -> str:
    """The record's file name: `name` percent-encoded outside ``[A-Za-z0-9_-]``.

    A dot stands for itself inside the name, and is encoded at either end, so that no record is
    hidden and none is ``.`` or ``..``.
    """
    check(name)
    last = len(name) - 1
    out = []
    for index, char in enumerate(name):
        if _PLAIN.fullmatch(char) or (char == "." and 0 < index < last):
            out.append(char)
        else:
            out.extend(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
    return "".join(out)
