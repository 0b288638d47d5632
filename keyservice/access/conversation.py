# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What an operation may do with the person at the other end. Sessions implement it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from keyservice.contract.names import Flag, WaitFor
from keyservice.contract.operations import Operation
from keyservice.core.errors import Cancelled
from keyservice.core.secret import Secret

#: ``Caller.source`` of the socket that only programs with euid 0 reach.
ROOT_SOURCE = "root.sock"


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that asks, as the kernel tells it. Filled in by ``servers.caller`` only."""

    uid: int  #: effective uid (SO_PEERCRED, GetConnectionCredentials)
    pid: int  #: 0 where the kernel does not say (another pid namespace)
    ruid: int | None  #: real uid, None where it cannot be told
    loginuid: int | None  #: audit login uid, None where unset or unknown
    logind_session: str | None  #: sd-login's session id
    source: str  #: ROOT_SOURCE, "user.sock" or the unique bus name
    terminal: int = 0  #: device number of its controlling terminal, 0 where it has none
    started: int = 0  #: clock ticks after boot, 0 where it cannot be told

    @property
    def root(self) -> bool:
        return self.uid == 0

    @property
    def originator_uid(self) -> int | None:
        """The uid of the person who began the program: its real uid (su), or else the login uid
        (sudo, a root shell). 0 for root's own, such as login and sshd; None if it is not known."""
        if self.ruid == 0:
            return self.loginuid or 0
        return self.ruid


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asked to begin. All text is the caller's word and untrusted."""

    operation: Operation
    user: str = ""
    service: str = ""
    tty: str = ""
    rhost: str = ""
    lang: str = ""
    serial: str = ""
    application: str = ""
    container: str = ""
    public_key: str = ""  #: a public key file of ssh's
    key: str = ""  #: the fingerprint of a key, ours or ssh's
    auth_info: str = ""  #: what sshd has verified, by its words (``crypto.ssh_keys``)
    label: str = ""  #: what the binding is to be called
    flags: Flag = field(default=Flag(0))
    timeout: int = 0  #: seconds, 0 for the configuration's


class Conversation(Protocol):
    """One person's terminal, seen from an operation."""

    @property
    def originator_uid(self) -> int | None:
        """``Caller.originator_uid``; ``core.threads.STRANGERS`` for those, and 0 for somebody at
        the machine."""
        ...

    def remaining(self) -> float:
        """Seconds until the session's deadline."""
        ...

    async def info(self, text: str) -> None: ...

    async def error(self, text: str) -> None: ...

    async def wait(self, text: str, what: WaitFor) -> None: ...

    @property
    def prompted(self) -> bool:
        """Whether nothing but prompts reaches the person."""
        ...

    async def confirm(self, text: str) -> None:
        """Ask, and take any answer, an empty one too. Raises as :meth:`ask`."""
        ...

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        """The answer, 1 to 256 bytes. The session wipes it when it ends.

        Raises ``Cancelled`` at cancel, end of input or an empty answer, ``DeadlinePassed``.
        """
        ...


class _Nobody:
    """The conversation if no session was begun: it speaks to nobody."""

    prompted = False
    originator_uid: int | None = None

    def remaining(self) -> float:
        return 0.0

    async def info(self, text: str) -> None: ...

    async def error(self, text: str) -> None: ...

    async def wait(self, text: str, what: WaitFor) -> None: ...

    async def confirm(self, text: str) -> None: ...

    async def ask(self, text: str, *, echo: bool = False) -> Secret:
        raise Cancelled("Nobody is there to answer")


NOBODY: Conversation = _Nobody()
