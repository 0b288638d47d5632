# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a session can be for: a row each, with all that both ends know of it, over sockets and bus.

:mod:`keyservice.access.operations` has what the keyservice does for each.
"""

from __future__ import annotations

from dataclasses import dataclass

from .frames import Tag
from .names import AUTH_INFO_MAX, DEADLINE_MAX, Flag


@dataclass(frozen=True, slots=True)
class Field:
    """One argument of a request: its name in Python and on the bus, and its tag in a frame."""

    name: str
    tag: Tag
    signature: str  #: the D-Bus type: ``s`` or ``u``
    limit: int  #: the most bytes of UTF-8, or the greatest number


USER = Field("user", Tag.USER, "s", 256)
SERVICE = Field("service", Tag.SERVICE, "s", 256)
TTY = Field("tty", Tag.TTY, "s", 256)
RHOST = Field("rhost", Tag.RHOST, "s", 256)
LANG = Field("lang", Tag.LANG, "s", 64)
SERIAL = Field("serial", Tag.SERIAL, "s", 64)
APPLICATION = Field("application", Tag.APPLICATION, "s", 64)
CONTAINER = Field("container", Tag.CONTAINER, "s", 64)
AUTH_INFO = Field("auth_info", Tag.AUTH_INFO, "s", AUTH_INFO_MAX)
PUBLIC_KEY = Field("public_key", Tag.PUBLIC_KEY, "s", 2048)
KEY = Field("key", Tag.KEY, "s", 64)
LABEL = Field("label", Tag.LABEL, "s", 256)
FLAGS = Field("flags", Tag.FLAGS, "u", sum(Flag))
TIMEOUT = Field("timeout", Tag.TIMEOUT, "u", DEADLINE_MAX)


_NONE = Flag(0)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. Rights and flags are the same over sockets and bus."""

    number: int  #: the kind of the frame that begins it, 0x01 to 0x0F
    name: str  #: as the audit log has it, with hyphens
    fields: tuple[Field, ...]  #: in the order of the Begin method's arguments
    flags: Flag = _NONE  #: the flags that mean something; any other is refused
    #: What only a frame carries: the bus's signatures stay as older clients know them.
    framed: tuple[Field, ...] = ()
    #: For root only; otherwise callers may begin it for themselves, and root for anybody.
    root_only: bool = False
    #: The user has to be named; otherwise a request that names none means the caller.
    named: bool = False

    @property
    def in_frame(self) -> tuple[Field, ...]:
        """All that a frame may carry."""
        return self.fields + self.framed

    @property
    def method(self) -> str:
        """The name of the bus method that begins it."""
        return "Begin" + self.name.title().replace("-", "")


_COMMON = (LANG, FLAGS, TIMEOUT)

AUTHENTICATION = Operation(
    0x01,
    "authentication",
    (USER, SERVICE, TTY, RHOST, *_COMMON),
    Flag.UNIFORM | Flag.DECOY | Flag.NOUSEROK | Flag.SILENT,
    framed=(AUTH_INFO,),
    named=True,
)
BIND = Operation(
    0x02,
    "bind",
    (USER, SERIAL, APPLICATION, CONTAINER, LABEL, SERVICE, *_COMMON),
    Flag.GENERATE | Flag.ALLOW_DEFAULT_PIN,
    root_only=True,
    named=True,
)
UNBIND = Operation(
    0x03, "unbind", (USER, SERIAL, SERVICE, *_COMMON), Flag.FORCE, root_only=True, named=True
)
CHANGE_PIN = Operation(
    0x04,
    "change-pin",
    (USER, SERIAL, APPLICATION, SERVICE, TTY, RHOST, *_COMMON),
    Flag.SILENT | Flag.NOUSEROK | Flag.PASSWORD,
)
UNBLOCK_PIN = Operation(
    0x05, "unblock-pin", (SERIAL, APPLICATION, SERVICE, *_COMMON), root_only=True
)
VERIFY_PIN = Operation(0x06, "verify-pin", (USER, SERIAL, APPLICATION, SERVICE, *_COMMON))
SSH_KEY_ADD = Operation(
    0x07,
    "ssh-key-add",
    (USER, PUBLIC_KEY, SERIAL, APPLICATION, CONTAINER, SERVICE, *_COMMON),
    root_only=True,
    named=True,
)
SSH_KEY_REMOVE = Operation(
    0x08, "ssh-key-remove", (USER, KEY, SERVICE, *_COMMON), Flag.FORCE, root_only=True, named=True
)
