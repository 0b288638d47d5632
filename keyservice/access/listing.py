# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rows of lists: what is said of a reader, of a binding, and of a file that is damaged."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from keyservice.core import threads
from keyservice.core.errors import LookUpLate, UkeyError
from keyservice.core.reasons import carried
from keyservice.core.threads import Budget
from keyservice.crypto.ssh_wire import spell
from keyservice.store.records import Binding, Inventory, Purpose

from . import accounts
from .conversation import Caller
from .services import ReaderStatus, Services
from .settings import Rules

#: A row of an answer: text, numbers and yes or no, by name.
Row = dict[str, str | int | bool]


def ukey(
    services: Services, caller: Caller, presence: ReaderStatus, owners: Mapping[str, Binding]
) -> Row:
    """A reader and what is in it, as far as the caller may know."""
    info = presence.info
    owner = owners.get(info.serial) if info is not None else None
    mine = owner is not None and owner.uid == caller.uid
    row: Row = {"reader": presence.reader, "mine": mine}
    if not (caller.root or mine):
        return row
    row |= {
        "card": presence.card_present,
        "refused": presence.refused,
        "virtual": presence.virtual,
    }
    if info is not None:
        row |= {
            "kind": info.kind,
            "serial": info.serial,
            "label": info.label,
            "manufacturer": info.manufacturer,
            "pause": services.throttle.pause(info.serial),
        }
    if presence.pin is not None:
        row |= {"left": presence.pin.left, "maximum": presence.pin.maximum}
    if owner is not None:
        row["user"] = owner.user
    return row


async def told(
    services: Services, kept: Inventory, bindings: Collection[Binding], budget: Budget
) -> dict[str, Row]:
    """What lists say of bindings beside what is in the record, by the keys' fingerprints."""
    try:
        look, by_name, by_uid = accounts.look, services.resolve, services.resolve_uid
        found = await threads.call(budget, look, bindings, by_name, by_uid)
    except LookUpLate:  # nobody waits longer for a name service; the rest is known
        found = {}
    revoked = None if kept.revocations is None else {each.key for each in kept.revocations}
    rows: dict[str, Row] = {}
    for each in bindings:
        name = each.fingerprint
        refused = is_refused(services.rules, each)
        rows[name] = {**found.get(each.user, {}), "algorithm_refused": refused}
        if revoked is not None:
            rows[name]["revoked"] = name in revoked
    return rows


def is_refused(rules: Rules, binding: Binding) -> bool:
    """Whether the configuration does not accept the algorithm of a key for logins."""
    return binding.purpose is Purpose.LOGIN and not rules.accepts(binding.algorithm)


def ssh(binding: Binding) -> Row:
    """What ssh calls an ssh key."""
    if binding.purpose is not Purpose.SSH:
        return {}
    return {"ssh": spell(binding.key).fingerprint}


def damage(error: UkeyError) -> Row:
    """What is wrong with a file: the reason's name, and the facts that its text needs."""
    why = str(error.facts.get("why", error.message))
    path = str(error.facts.get("path", ""))
    return {"damaged": True, "path": path, "why": why, **carried(why, error.facts)}
