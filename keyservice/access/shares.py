# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which share of the sessions a caller draws on, so that nobody takes what others need.

One person may own thousands of uids (subordinate ones), and strangers begin sshd's logins before
they are known. So each share has its own limit, and what consoles and greeters need is kept for
them alone. The share follows from what the kernel says of the caller. The caller's own word,
PAM_TTY, counts in one case only: for greeters, which have no terminal; their share is not the
consoles'. docs/security.md has the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from keyservice.contract import operations
from keyservice.core.errors import Busy, HostBusy
from keyservice.core.threads import STRANGERS

from . import consoles, locality
from .conversation import Caller, Request


class Share(Enum):
    """In the order of trust."""

    CONSOLE = auto()  #: a login that root began, on a console that controls it
    GREETER = auto()  #: a login that root began, for the display of a seat, with no terminal
    SYSTEM = auto()  #: all else of root's own: sshd first, which strangers begin
    PEOPLE = auto()  #: programs that run as root and that a person began: su, sudo
    USERS = auto()  #: programs of other uids: screen lockers, people's own tools


#: The shares of logins that somebody at the machine begins.
ON_THE_SPOT = frozenset({Share.CONSOLE, Share.GREETER})


@dataclass(frozen=True, slots=True)
class Claim:
    """A share, and the holder of a part: a terminal, a display, a person; a uid among USERS."""

    share: Share
    holder: int | str | None = None

    @property
    def originator_uid(self) -> int | None:
        """The person who waits for its look-ups, as ``Conversation.originator_uid``."""
        if self.share in ON_THE_SPOT:
            return 0
        if self.share is Share.SYSTEM:
            return STRANGERS
        return self.holder if isinstance(self.holder, int) else None


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of a share may be taken at a time: by all its holders, and by one."""

    total: int
    each: int


#: Sessions. Root's make 256; ``root.sock`` takes more connections than that.
SESSIONS: Mapping[Share, Limit] = {
    Share.CONSOLE: Limit(16, 4),
    Share.GREETER: Limit(8, 4),
    Share.SYSTEM: Limit(104, 104),  # sshd lets in 100 that are not logged in (MaxStartups)
    Share.PEOPLE: Limit(128, 64),
    Share.USERS: Limit(128, 4),
}
#: The share for people at the machine whose own shares are used up.
_INSTEAD = Share.SYSTEM


def of_caller(caller: Caller) -> Claim:
    """The claim of `caller`, whatever it asks for."""
    if not caller.root:
        return Claim(Share.USERS, caller.uid)
    if caller.originator_uid != 0:
        return Claim(Share.PEOPLE, caller.originator_uid)
    return Claim(Share.SYSTEM)


def of_login(
    caller: Caller, request: Request, ttys: Sequence[str], logind: locality.Logind
) -> Claim:
    """The claim of `caller` for what it asks.

    The claim is ON_THE_SPOT only for a login by root's own program that no person began: its real
    uid is 0, no login uid was ever set, and it is in no login session. A program that has a
    controlling terminal must have one of the consoles `ttys`, whatever it says its terminal is.
    """
    if caller.root and request.operation.root_only:
        return Claim(Share.SYSTEM)  # su and sudo never ask this; the caller is root
    claim = of_caller(caller)
    begun = caller.loginuid is not None or caller.logind_session is not None
    login = request.operation is operations.AUTHENTICATION
    if claim.share is not Share.SYSTEM or begun or request.rhost or not login:
        return claim
    if not locality.judge(caller, request, ttys, logind).local:
        return claim
    if not caller.terminal:
        return Claim(Share.GREETER, request.tty)
    if consoles.controls(caller.terminal, request.tty):
        return Claim(Share.CONSOLE, caller.terminal)
    return claim


class Room:
    """How much of each share is taken."""

    def __init__(self, limits: Mapping[Share, Limit] = SESSIONS) -> None:
        self._limits = limits
        self._shares: Counter[Share] = Counter()
        self._holders: Counter[Claim] = Counter()

    def take(self, claim: Claim) -> Claim:
        """Take one of `claim`; returns the claim that was taken, which is to be given back.

        It is root's common share if nothing is left for somebody at the machine. Raises
        :class:`Busy` if the holder has its part already, :class:`HostBusy` if all is taken.
        """
        limit = self._limits[claim.share]
        full = self._shares[claim.share] >= limit.total
        if full or self._holders[claim] >= limit.each:
            if claim.share in ON_THE_SPOT:
                return self.take(Claim(_INSTEAD))
            raise HostBusy() if full else Busy()
        self._shares[claim.share] += 1
        self._holders[claim] += 1
        return claim

    def give_back(self, claim: Claim) -> None:
        """Free one that was taken."""
        self._shares[claim.share] -= 1
        self._holders[claim] -= 1
        if not self._holders[claim]:
            del self._holders[claim]

    def taken(self, share: Share) -> int:
        return self._shares[share]

    def most(self, share: Share) -> tuple[int | str | None, int]:
        """The holder who has most of a share that is not free, and how much that is."""
        held = [(count, claim) for claim, count in self._holders.items() if claim.share is share]
        count, claim = max(held, key=lambda each: each[0])
        return claim.holder, count
