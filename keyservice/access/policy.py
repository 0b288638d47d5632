# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who may do what, and which tries may be spent.

=============  ====================================================================================
Caller         May
=============  ====================================================================================
root           everything, for any user
any uid        authenticate as itself (screen lockers run as the user); verify and change the PIN
               of its own ukey
=============  ====================================================================================
"""

from __future__ import annotations

from keyservice.contract.names import DEADLINE_MAX, Flag
from keyservice.contract.operations import AUTHENTICATION, Operation
from keyservice.contract.pam import SSHD
from keyservice.core.errors import AlgorithmRefused, BadRequest, NotAllowed
from keyservice.core.marks import N_
from keyservice.core.reasons import Reason
from keyservice.core.username import Person
from keyservice.ukeys.base import TryReserve

from .conversation import ROOT_SOURCE, Caller, Request
from .settings import Rules


def check_begin(caller: Caller, request: Request) -> None:
    """Raise :class:`NotAllowed` or :class:`BadRequest` for a request that is refused for any user.

    This depends only on the caller and the request, so a refusal here tells nothing about a user
    or a ukey, not even under ``uniform``.
    """
    if not caller.root and request.operation.root_only:
        raise NotAllowed(Reason.ROOT_ONLY)
    # as numbers: the complement of a Flag has no unknown bits
    if int(request.flags) & ~int(request.operation.flags):
        raise BadRequest("A flag means nothing for this operation")
    if Flag.UNIFORM in request.flags and Flag.NOUSEROK in request.flags:
        raise BadRequest("uniform hides who is enrolled, nouserok shows it: not both")
    login = request.operation is AUTHENTICATION
    if Flag.NOUSEROK in request.flags and not login and Flag.PASSWORD not in request.flags:
        raise BadRequest("nouserok is for logins, and for a PIN that changes with a password")
    if Flag.DECOY in request.flags and Flag.UNIFORM not in request.flags:
        raise BadRequest("decoy is for uniform stacks: say both")
    if request.auth_info and not _is_sshd(caller, request):
        raise NotAllowed(N_("only sshd says what it has verified"))
    if not 0 <= request.timeout <= DEADLINE_MAX:
        raise BadRequest(f"A timeout has 0 to {DEADLINE_MAX} seconds")


def check_algorithm(rules: Rules, algorithm: str, serial: str) -> None:
    """Raise :class:`AlgorithmRefused` unless this host accepts keys of that algorithm."""
    if not rules.accepts(algorithm):
        raise AlgorithmRefused(algorithm=algorithm, serial=serial)


def _is_sshd(caller: Caller, request: Request) -> bool:
    """Whether root's own sshd may be the caller: setuid programs have somebody else's real uid."""
    own = caller.root and caller.ruid == 0 and caller.source == ROOT_SOURCE
    return own and request.service in SSHD


def check_own(caller: Caller, person: Person) -> None:
    """Raise :class:`NotAllowed` if the caller is neither root nor `person`."""
    if not caller.root and caller.uid != person.uid:
        raise NotAllowed(N_("only root may do this for somebody else"))


def password_alone(caller: Caller, request: Request) -> bool:
    """Whether a password changes, and no PIN with it, since root runs the program.

    passwd for somebody, chpasswd and newusers change passwords of people who are not there, and
    some of them answer every prompt with the new password, which would cost a try. So a PIN is
    asked only if the program is known to be a person's own.
    """
    return Flag.PASSWORD in request.flags and caller.ruid in (0, None)


def reserve(caller: Caller, operation: Operation, *, local: bool) -> TryReserve:
    """How many tries must stay after a wrong PIN.

    The last one is spent only by a login on the spot that root itself began. No user is behind
    ``login`` or a greeter yet: so its real uid is 0, its audit login uid is unset, and it is in no
    login session. If the kernel has no audit, the first two are so for sudo as well. A caller other
    than root, which may be the user's malware, leaves the reserve.
    """
    if not caller.root:
        return TryReserve.RESERVE
    alone = caller.ruid == 0 and caller.loginuid is None and caller.logind_session is None
    if operation is AUTHENTICATION and local and alone:
        return TryReserve.NONE
    return TryReserve.LAST
