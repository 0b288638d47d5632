# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether a ukey's maker vouches for its key, by the certificates that an administrator has put on
this host. The ukey is asked when somebody is bound; from then on the record says what came of it.

The device worker brings certificates, and its word alone is worth nothing: the ukey may have taken
it over. So the chain is verified here, in the service (docs/decisions.md, Devices).
"""

from __future__ import annotations

from datetime import UTC, datetime

from keyservice.core.errors import NotAttested
from keyservice.core.reasons import WHY, Reason, Unfit
from keyservice.crypto.key import PublicKey
from keyservice.store.makers import Makers
from keyservice.store.records import Binding
from keyservice.ukeys.base import Evidence, KeyRef
from keyservice.ukeys.operations import ATTEST, Arguments

from . import lookups
from .context import Context
from .services import UkeyHandle

#: What is no news to root: nothing was to be expected then.
_NO_NEWS = (Reason.ATTEST_NO_MAKER, Reason.NO_ATTEST)


async def attested(context: Context, handle: UkeyHandle, ref: KeyRef, key: PublicKey) -> bool:
    """Whether a maker vouches for `key`. If not, root is told why, where it was to be expected.

    Raises :class:`NotAttested` instead where the configuration demands it.
    """
    serial = handle.info.serial
    try:
        await _check(context, handle, ref, key)
    except Unfit as error:
        if context.services.rules.attested:
            raise NotAttested("", serial=serial, **error.facts) from None
        if error.facts.get(WHY) not in _NO_NEWS:
            await context.conversation.info(context.texts.not_attested(serial, error.facts))
        return False
    return True


async def foresee(context: Context, handle: UkeyHandle, ref: KeyRef) -> None:
    """Before a pair is made: raise :class:`NotAttested` if the configuration demands that a maker
    vouches for it, and none will."""
    if not context.services.rules.attested:
        return
    try:
        await _check(context, handle, ref, None)
    except Unfit as error:
        raise NotAttested("", serial=handle.info.serial, **error.facts) from None


def check_recorded(context: Context, binding: Binding) -> None:
    """At a login: raise :class:`NotAttested` for a record that does not say so, if it has to."""
    if context.services.rules.attested and not binding.attested:
        raise NotAttested(serial=binding.serial, why=Reason.ATTEST_RECORD.value)


async def _check(context: Context, handle: UkeyHandle, ref: KeyRef, key: PublicKey | None) -> None:
    """Return if a maker vouches for `key`; for None, if a maker has signed the ukey's own
    certificate. Raises :class:`Unfit`, and what the ukey raises."""
    known = await lookups.look_up(context, context.services.makers)
    if not known.trusted:
        raise Unfit(Reason.ATTEST_FOLDER, folder=str(known.path))
    if not known.found:
        raise Unfit(Reason.ATTEST_NO_MAKER, folder=str(known.path))
    if not handle.can(ATTEST):
        raise Unfit(Reason.NO_ATTEST)
    evidence = await handle.do(ATTEST, Arguments(ref), lookups.deadline(context))
    if not evidence.own:
        raise Unfit(Reason.ATTEST_NONE)
    if key is not None and not evidence.statement:
        raise Unfit(Reason.ATTEST_NOT_ITS)
    await lookups.look_up(context, _judge, evidence, known, key, handle.info.serial)


def _judge(evidence: Evidence, known: Makers, key: PublicKey | None, serial: str) -> None:
    from keyservice.crypto import attestation  # here: most hosts need no X.509

    now = datetime.now(UTC)
    own = attestation.own(evidence.own, known.found, now)
    if key is not None:
        own.check(evidence.statement, key, serial, now)
