# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Why something cannot be used, in words that both sides know.

A reason is written in English: into the log, into ``--json`` and into answers that are made before
it is known who reads them. Whoever shows it to a person finds it here again, and translates it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum


def N_(text: str) -> str:
    """Mark `text` for translation where it stands; it is translated where it is used."""
    return text


class Reason(StrEnum):
    """The reasons. What stands in braces is filled in by ``str.format``."""

    # a record
    LINK = N_("it is a symbolic link")
    NO_FILE = N_("it is no regular file")
    OWNER = N_("it belongs to uid {uid}, not to root")
    MODE = N_("its mode is {mode}, not 0600")
    SIZE = N_("it has {size} bytes, over {limit}")
    GROWN = N_("it has over {limit} bytes")
    FOLDER = N_("it is not root's alone (mode 0700)")
    NO_JSON = N_("it is no JSON record")
    BAD_JSON = N_("it is no JSON record: {detail}")
    VERSION = N_("it is not of version {version}")
    FIELDS = N_("missing or unknown: {names}")
    TYPE = N_("{name} is of the wrong type")
    TWICE = N_("a field stands twice")
    UID = N_("a uid is out of range")
    EMPTY = N_("serial or kind is empty")
    ALGORITHM = N_("its algorithm is unknown")
    POINT = N_("the public key has not {length} bytes")
    TIME = N_("bound_at is no time")
    OTHER_NAME = N_("it is a record of another name")
    REVOCATION = N_("line {number} is not a revocation")
    # the way to the keyservice
    CONNECT = N_("cannot connect to {path}: {reason}")
    FULL = N_("{path} takes no connection")
    BROKEN = N_("the connection broke: {reason}")
    CLOSED = N_("the keyservice closed the connection")
    LATE = N_("the keyservice did not answer in time")
    SERVED_BY = N_("the socket is served by uid {uid}, not by root")
    OWNED_BY = N_("{name} is owned by uid {uid}, not by root")
    NOT_ON_BUS = N_("the keyservice is not on the bus")
    NOT_STARTED = N_("the keyservice is not on the bus ({reason})")
    BUS_REFUSES = N_("the bus does not take this process")
    BUS_CLOSED = N_("the bus closed the connection")
    # a request
    TOO_LONG = N_("{name} has over {limit} bytes")
    NUL = N_("{name} holds a NUL")
    NOT_UTF8 = N_("{name} is not UTF-8")
    # the system's own, as strerror(3) has them
    EACCES = N_("Permission denied")
    ECONNREFUSED = N_("Connection refused")
    EIO = N_("Input/output error")
    ENOENT = N_("No such file or directory")
    ENOSPC = N_("No space left on device")
    ENOTDIR = N_("Not a directory")
    EROFS = N_("Read-only file system")


def translated(text: str, gettext: Callable[[str], str]) -> str:
    """`text` by the catalogue of `gettext`, if it is one of the reasons; else as it is."""
    for reason in Reason:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.*)", re.escape(reason))
        match = re.fullmatch(pattern, text)
        if match is not None:
            facts = match.groupdict()
            if "reason" in facts:
                facts["reason"] = translated(facts["reason"], gettext)
            return gettext(reason).format(**facts)
    return text
