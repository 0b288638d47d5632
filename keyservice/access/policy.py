# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who may do what, and which tries may be spent. One table each.

=============  ====================================================================================
Caller         May
=============  ====================================================================================
root           everything, for any user
any uid        authenticate as itself (screen lockers run as the user); verify and change the PIN
               of its own ukey
=============  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from keyservice.contract.names import DEADLINE_MAX, Flag, Operation
from keyservice.core.errors import BadRequest, NotAllowed
from keyservice.core.username import Person
from keyservice.ukeys.base import Keep

from .conversation import Caller, Request
from .messages import N_

#: What a caller other than root may begin, for itself.
OWN = frozenset({Operation.AUTHENTICATION, Operation.CHANGE_PIN, Operation.VERIFY_PIN})

#: What is never done for a caller who names no user.
NAMED = frozenset({Operation.AUTHENTICATION, Operation.BIND, Operation.UNBIND})

#: Which flags mean something for which operation. Any other is refused.
FLAGS: Mapping[Operation, Flag] = {
    Operation.AUTHENTICATION: Flag.UNIFORM | Flag.DECOY | Flag.NOUSEROK | Flag.SILENT,
    Operation.BIND: Flag.GENERATE | Flag.ALLOW_DEFAULT_PIN,
    Operation.UNBIND: Flag.FORCE,
    Operation.CHANGE_PIN: Flag.SILENT,
    Operation.UNBLOCK_PIN: Flag(0),
    Operation.VERIFY_PIN: Flag(0),
}


def check_begin(caller: Caller, request: Request) -> None:
    """Raise :class:`NotAllowed` or :class:`BadRequest` for what is refused whoever the user is.

    Depends on nothing but the caller and the request, so that a refusal here tells nothing about
    a user or a ukey, under ``uniform`` either.
    """
    if not caller.root and request.operation not in OWN:
        raise NotAllowed("Only root may do this")
    # as numbers: the complement of a Flag has no unknown bits
    if int(request.flags) & ~int(FLAGS[request.operation]):
        raise BadRequest("A flag means nothing for this operation")
    if Flag.UNIFORM in request.flags and Flag.NOUSEROK in request.flags:
        raise BadRequest("uniform hides who is enrolled, nouserok shows it: not both")
    if Flag.DECOY in request.flags and Flag.UNIFORM not in request.flags:
        raise BadRequest("decoy is for uniform stacks: say both")
    if not 0 <= request.timeout <= DEADLINE_MAX:
        raise BadRequest(f"A timeout has 0 to {DEADLINE_MAX} seconds")


def check_own(caller: Caller, person: Person) -> None:
    """Raise :class:`NotAllowed` if `person` is somebody else than a caller who is not root."""
    if not caller.root and caller.uid != person.uid:
        raise NotAllowed(N_("only root may do this for somebody else"))


def keep(caller: Caller, operation: Operation, *, local: bool) -> Keep:
    """How many tries must stay after a wrong PIN.

    The last one is spent only by a login on the spot that root itself began: no user is behind
    ``login`` or a greeter yet, so its real uid is 0, its audit login uid unset, and it is in no
    login session; sudo leaves the first two so where the kernel has no audit. A caller other than
    root, which may be the user's malware, leaves the reserve.
    """
    if not caller.root:
        return Keep.RESERVE
    alone = caller.ruid == 0 and caller.loginuid is None and caller.logind_session is None
    if operation is Operation.AUTHENTICATION and local and alone:
        return Keep.NONE
    return Keep.LAST
