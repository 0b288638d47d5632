# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The factor ``ssh-key``: sshd has verified a signature of a key that is registered for the person.

For people from afar: their ukey is in the machine that they sit at. This service sees no signature;
it believes sshd (``ssh_stack``), and knows whose each key is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyservice.access import identity, lookups, ssh_stack
from keyservice.access.context import Context
from keyservice.access.settings import SshKeys
from keyservice.contract.factors import SSH_KEY
from keyservice.contract.pam import SSHD
from keyservice.core.errors import (
    SshAlgorithmRefused,
    SshKeyKind,
    SshKeyMissing,
    SshKeyOthers,
    SshKeyRefused,
    SshKeyRevoked,
    SshKeyUnregistered,
    UkeyError,
)
from keyservice.core.username import Person
from keyservice.crypto import algorithms
from keyservice.crypto.ssh_keys import verified
from keyservice.crypto.ssh_wire import NoSshKey
from keyservice.crypto.ssh_wire import SshKey as Shown
from keyservice.store.records import Held, Purpose


class SshKey:
    """See :class:`~keyservice.access.factors.factor.Factor`."""

    name = SSH_KEY
    asks = False
    missing = SshKeyUnregistered

    async def ready(self, context: Context, person: Person) -> Verified | None:
        own = await identity.held(context, person, Purpose.SSH)
        if not own:
            return None
        shown = await _shown(context, person)
        refusals: list[UkeyError] = []
        for key in shown:
            try:
                return Verified(person, key, await _registered(context, person, key, own))
            except UkeyError as error:
                refusals.append(error)
        # of several keys, the one that comes closest to letting in says why none does
        known = [error for error in refusals if type(error) is not SshKeyRefused]
        raise (known or refusals)[0]


async def _shown(context: Context, person: Person) -> list[Shown]:
    """The keys that sshd has verified in this login; one at least."""
    request, folders = context.request, context.services.pam_folders
    if request.service not in SSHD:
        raise SshKeyMissing("No sshd asks, and nobody else verifies ssh keys", user=person.name)
    await lookups.look_up(context, ssh_stack.check, request.service, folders)
    try:
        shown = verified(request.auth_info)
    except NoSshKey as error:
        raise SshKeyMissing(
            f"What sshd says is not understood: {error}", user=person.name
        ) from None
    if not shown:
        raise SshKeyMissing(user=person.name)
    context.ssh_key = shown[0].fingerprint
    return shown


async def _registered(context: Context, person: Person, shown: Shown, own: Sequence[Held]) -> Held:
    """The credential that `shown` is, if it lets in here. Raises why it does not."""
    facts = {"user": person.name, "ssh": shown.fingerprint}
    if shown.key is None:
        raise SshKeyRefused("No record can hold a key of this type", **facts, type=shown.type)
    name = algorithms.fingerprint(shown.key)
    held = next((each for each in own if each.binding.fingerprint == name), None)
    if held is None:
        raise await _unregistered(context, name, facts)
    check_usable(context, held, facts)
    return held


async def _unregistered(context: Context, name: str, facts: dict[str, str]) -> SshKeyRefused:
    """Why a key that is not one of the person's ssh keys is none, for the log: a decoy and any
    other failure look the same from outside."""
    records, budget = context.services.records, lookups.budget(context)
    if await records.revocation(name, budget) is not None:
        return SshKeyRevoked(**facts, key=name)
    for each in (await records.inventory(budget)).bindings:
        if each.fingerprint == name and each.user != facts["user"]:
            return SshKeyOthers(**facts, owner=each.user)
        if each.fingerprint == name:
            return SshKeyRefused("The key is the person's, but not for ssh", **facts)
    return SshKeyRefused(**facts)


def check_algorithm(context: Context, ssh: str, algorithm: str) -> None:
    """Raise :class:`SshAlgorithmRefused` unless this host accepts keys of that algorithm."""
    if not context.services.rules.accepts(algorithm):
        raise SshAlgorithmRefused(ssh=ssh, algorithm=algorithm)


def check_usable(context: Context, held: Held, facts: dict[str, str]) -> None:
    """Raise if the credential is revoked, or of an algorithm or a kind that the configuration does
    not take."""
    if held.damage is not None:
        raise held.damage
    if held.revoked:
        raise SshKeyRevoked(**facts, key=held.binding.fingerprint)
    check_algorithm(context, facts["ssh"], held.binding.algorithm)
    kind = SshKeys.of(held.binding.kind)
    if kind not in context.services.rules.ssh_keys:
        raise SshKeyKind(**facts, kind=kind.value)


@dataclass(frozen=True, slots=True)
class Verified:
    """A key that sshd has verified, which is registered for the person."""

    person: Person
    shown: Shown
    held: Held

    async def prove(self, context: Context) -> None:
        context.ssh_key = self.shown.fingerprint
        context.key = self.held.binding.fingerprint
        now = await context.services.records.still(self.held, lookups.budget(context))
        facts = {"user": self.person.name, "ssh": self.shown.fingerprint}
        if now is None:
            raise SshKeyRefused("The record was changed meanwhile", **facts)
        check_usable(context, now, facts)
