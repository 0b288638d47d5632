# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which ukey, and which key pair on it, where root named none: the only one, or a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from keyservice.core.errors import (
    AlreadyBound,
    BadRequest,
    Cancelled,
    NoKeyPair,
    NotOnUkey,
    ReaderRefused,
    UkeyAbsent,
    UkeyUnknown,
)
from keyservice.store.bindings import Binding
from keyservice.ukeys.base import Container, KeyRef, UkeyInfo

from . import approach
from .audit import Attempt
from .conversation import Conversation
from .messages import N_, Texts
from .world import UkeyHandle, World

_T = TypeVar("_T")

#: How often a choice is asked for.
ASKED = 3
#: The container that is made for a new pair where none is named.
NEW_CONTAINER = "pam-ukey"


async def ukey(
    world: World,
    talk: Conversation,
    texts: Texts,
    attempt: Attempt,
    taken: Sequence[Binding] = (),
) -> UkeyHandle:
    """The named ukey, or the one that is inserted, or the one that is chosen among several.

    Those of `taken` do not count. Raises :class:`AlreadyBound` where only such are inserted, and
    what ``approach.find`` raises.
    """
    serial, patience = attempt.request.serial, world.rules.wait_for_ukey
    if not serial:
        await world.ukeys.settled(approach.deadline(talk))
        inserted = await approach.present(
            world, talk, texts, "", patience, lambda: _inserted(world)
        )
        serial = await _serial(talk, texts, inserted, taken)
    attempt.serial = serial
    return await approach.find(world, talk, texts, serial, patience)


def _inserted(world: World) -> list[UkeyInfo]:
    """All present ukeys. Where there is none, the error says what is there instead."""
    cards = [each for each in world.ukeys.present() if each.card_present]
    ukeys = [each.info for each in cards if each.info is not None and not each.refused]
    if ukeys:
        return ukeys
    for each in cards:
        if each.refused:
            raise ReaderRefused(reader=each.reader)
    for each in cards:
        raise UkeyUnknown(reader=each.reader)
    raise UkeyAbsent()


async def _serial(
    talk: Conversation, texts: Texts, inserted: Sequence[UkeyInfo], taken: Sequence[Binding]
) -> str:
    owners = {binding.serial: binding.user for binding in taken}
    free = {info.serial: info.label for info in inserted if info.serial not in owners}
    if not free:
        serial = inserted[0].serial
        raise AlreadyBound(user=owners[serial], serial=serial)
    if len(free) == 1:
        return next(iter(free))
    await talk.info(texts.ukeys_present(free.items()))
    return await _chosen(talk, texts, texts.which_ukey(), {serial: serial for serial in free})


async def key_pair(
    talk: Conversation, texts: Texts, attempt: Attempt, handle: UkeyHandle
) -> KeyRef:
    """Where the key pair lies that is to be bound. Raises :class:`NoKeyPair` and its kind."""
    request = attempt.request
    wanted = _named(attempt, await handle.containers(approach.deadline(talk)))
    pairs = [container.ref for container in wanted if container.has_key]
    if not pairs:
        named = request.application or request.container
        raise (NotOnUkey if named else NoKeyPair)(serial=handle.info.serial)
    if len(pairs) == 1:
        return pairs[0]
    await talk.info(texts.containers((ref.application, ref.container) for ref in pairs))
    numbers = {str(number): ref for number, ref in enumerate(pairs, start=1)}
    return await _chosen(talk, texts, texts.which_container(), numbers)


async def new_pair(talk: Conversation, attempt: Attempt, handle: UkeyHandle) -> KeyRef:
    """Where a key pair is to be made: in an empty container, or in a new one.

    Raises :class:`BadRequest` where there is a pair already, or the application is not clear,
    :class:`NotOnUkey` where the named one is not there.
    """
    containers = await handle.containers(approach.deadline(talk))
    application = await _application(talk, attempt, handle, containers)
    mine = [each for each in containers if each.ref.application == application]
    wanted = _named(attempt, mine)
    if attempt.request.container and any(each.has_key for each in wanted):
        raise BadRequest(N_("the container holds a key pair, which is never overwritten"))
    if not attempt.request.container and any(each.has_key for each in mine):
        raise BadRequest(
            N_("the ukey holds a key pair; leave out --generate, or name a new one's --container")
        )
    if wanted:
        return wanted[0].ref
    ref = KeyRef(application, attempt.request.container or NEW_CONTAINER)
    return ref if mine else await _without_containers(talk, handle, ref)


async def application(talk: Conversation, attempt: Attempt, handle: UkeyHandle) -> KeyRef:
    """Something in the application whose PIN is meant, where it is not that of a binding.

    Raises as :func:`new_pair`.
    """
    containers = await handle.containers(approach.deadline(talk))
    name = await _application(talk, attempt, handle, containers)
    for each in containers:
        if each.ref.application == name:
            return each.ref
    return await _without_containers(talk, handle, KeyRef(name, NEW_CONTAINER))


async def _without_containers(talk: Conversation, handle: UkeyHandle, ref: KeyRef) -> KeyRef:
    """`ref`, if its application is on the ukey: one that holds nothing is in no list."""
    try:
        await handle.pin_state(ref, approach.deadline(talk))
    except NoKeyPair:
        raise NotOnUkey(serial=handle.info.serial) from None
    return ref


async def _application(
    talk: Conversation, attempt: Attempt, handle: UkeyHandle, containers: Sequence[Container]
) -> str:
    """The named one, or the only one that holds something, or the only one."""
    named = attempt.request.application
    if named:
        return named
    names = {container.ref.application for container in containers}
    if not names:
        names = set(await handle.applications(approach.deadline(talk)))
    if not names:
        raise BadRequest(N_("the ukey has no application yet; its maker's software makes one"))
    if len(names) > 1:
        raise BadRequest(
            N_("the ukey has several applications; name one of {applications}"),
            applications=", ".join(sorted(names)),
        )
    return names.pop()


def _named(attempt: Attempt, containers: Sequence[Container]) -> list[Container]:
    """Those that the request does not rule out."""
    wanted = attempt.request
    return [
        each
        for each in containers
        if wanted.application in ("", each.ref.application)
        and wanted.container in ("", each.ref.container)
    ]


async def _chosen(talk: Conversation, texts: Texts, prompt: str, choices: Mapping[str, _T]) -> _T:
    for asked in range(ASKED):
        try:
            typed = await talk.ask(prompt, echo=True)
        except Cancelled:
            if asked:
                break
            raise
        with typed.view() as answer:
            choice = str(answer, "utf-8", "replace").strip()
        if choice in choices:
            return choices[choice]
        await talk.error(texts.no_such_choice())
    raise BadRequest(N_("none of the choices was chosen"))
