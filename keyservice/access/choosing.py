# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which ukey, and which key pair on it, if root named none: the only one, or root is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from keyservice.contract.shell import word
from keyservice.core.errors import (
    BadRequest,
    Cancelled,
    NoKeyPair,
    NoneFree,
    NoneMadeHere,
    NotOnUkey,
    ReaderRefused,
    UkeyAbsent,
    UkeyUnknown,
)
from keyservice.store.records import Binding
from keyservice.ukeys.base import Container, KeyRef, UkeyInfo
from keyservice.ukeys.operations import APPLICATIONS, CONTAINERS, GENERATE, Arguments

from . import lookups, presence
from .context import Context
from .messages import N_
from .services import UkeyHandle

_T = TypeVar("_T")

#: How often a choice is asked for.
ASKED = 3
#: The fewest characters of a serial that name a ukey: fewer are more likely a slip.
PREFIX_MIN = 4
#: The container that is made for a new pair where none is named.
NEW_CONTAINER = "pam-ukey"


async def ukey(context: Context, taken: Sequence[Binding] = ()) -> UkeyHandle:
    """The named ukey, or the one that is inserted, or the one that is chosen among several.

    The ukeys in `taken` do not count. Raises :class:`NoneFree` if only such are inserted, and
    what ``presence.find`` raises.
    """
    serial, patience = context.request.serial, context.services.rules.wait_for_ukey
    if not serial:
        await context.services.ukeys.settled(lookups.deadline(context))
        insert = context.texts.insert()
        inserted = await presence.present(context, insert, patience, lambda: _inserted(context))
        serial = await _serial(context, inserted, taken)
    context.serial = serial
    return await presence.find(context, serial, patience)


async def own(context: Context, bindings: Sequence[Binding]) -> tuple[Binding, UkeyHandle]:
    """Which of a person's ukeys is meant: the one that is inserted, or the one that is chosen among
    several that are. Raises what ``presence.find_any`` raises."""
    if len(bindings) == 1:
        context.serial = bindings[0].serial
    patience = context.services.rules.wait_for_ukey
    inserted = {
        handle.info.serial: handle
        for handle in await presence.find_any(context, bindings, patience)
    }
    mine = {each.serial: each for each in bindings if each.serial in inserted}
    serial = next(iter(mine))
    if len(mine) > 1:
        labels = [(each.serial, each.label) for each in mine.values()]
        await context.conversation.info(context.texts.ukeys_present(labels))
        serial = await _chosen(context, context.texts.which_ukey(), {each: each for each in mine})
    context.serial = serial
    return mine[serial], inserted[serial]


def by_serial(bindings: Sequence[Binding], serial: str) -> list[Binding]:
    """The bindings of the ukey whose serial is `serial`, or begins with it: ``PREFIX_MIN``
    characters at least. Raises :class:`BadRequest` if several begin so."""
    exactly = [each for each in bindings if each.serial == serial]
    if exactly or len(serial) < PREFIX_MIN:
        return exactly
    found = [each for each in bindings if each.serial.startswith(serial)]
    serials = sorted({each.serial for each in found})
    if len(serials) > 1:
        raise BadRequest(
            N_("several ukeys have a serial that begins so: {ukeys}"),
            ukeys=", ".join(map(word, serials)),
        )
    return found


def _inserted(context: Context) -> list[UkeyInfo]:
    """All present ukeys. If there is none, the error says what is there instead."""
    context.services.ukeys.check_there()
    cards = [each for each in context.services.ukeys.present() if each.card_present]
    ukeys = [each.info for each in cards if each.info is not None and not each.refused]
    if ukeys:
        return ukeys
    context.services.ukeys.check_not_held()
    for each in cards:
        if each.refused:
            raise ReaderRefused(reader=each.reader)
    for each in cards:
        raise UkeyUnknown(reader=each.reader)
    raise UkeyAbsent()


async def _serial(context: Context, inserted: Sequence[UkeyInfo], taken: Sequence[Binding]) -> str:
    owners = {binding.serial: binding.user for binding in taken}
    free = {info.serial: info.label for info in inserted if info.serial not in owners}
    if not free:
        return await _another(context, [info.serial for info in inserted], taken)
    if len(free) == 1:
        return next(iter(free))
    await context.conversation.info(context.texts.ukeys_present(free.items()))
    return await _chosen(context, context.texts.which_ukey(), {serial: serial for serial in free})


async def _another(context: Context, serials: Sequence[str], taken: Sequence[Binding]) -> str:
    """Of the `serials`, which are all bound, the one that another ukey has as well.

    That the only one is bound, or which user has its serial, is told by the caller.
    """
    bound = {each.serial: each for each in taken}
    if len(set(serials)) == 1:
        return serials[0]
    for serial in serials:
        handles = context.services.ukeys.claiming(serial)
        shown = [await presence.is_bound_one(context, each, bound[serial]) for each in handles]
        if not all(shown):
            return serial
    told = ", ".join(f"{word(serial)} ({word(bound[serial].user)})" for serial in serials)
    raise NoneFree(serials=told)


async def key_pair(context: Context, handle: UkeyHandle) -> KeyRef:
    """Where the key pair to bind lies. Raises :class:`NoKeyPair` and its kind."""
    request = context.request
    wanted = _named(context, await handle.do(CONTAINERS, Arguments(), lookups.deadline(context)))
    pairs = [container.ref for container in wanted if container.has_key]
    if not pairs:
        if request.application or request.container:
            raise NotOnUkey(serial=handle.info.serial)
        raise (NoKeyPair if handle.can(GENERATE) else NoneMadeHere)(serial=handle.info.serial)
    if len(pairs) == 1:
        return pairs[0]
    await context.conversation.info(
        context.texts.containers((ref.application, ref.container) for ref in pairs)
    )
    numbers = {str(number): ref for number, ref in enumerate(pairs, start=1)}
    return await _chosen(context, context.texts.which_container(), numbers)


async def new_pair(context: Context, handle: UkeyHandle) -> KeyRef:
    """Where to make a key pair: in an empty container, or in a new one.

    Raises :class:`BadRequest` if there is a pair already, or the application is not clear,
    :class:`NotOnUkey` if the named one is not there.
    """
    containers = await handle.do(CONTAINERS, Arguments(), lookups.deadline(context))
    application = await _application(context, handle, containers)
    mine = [each for each in containers if each.ref.application == application]
    wanted = _named(context, mine)
    if context.request.container and any(each.has_key for each in wanted):
        raise BadRequest(N_("the container holds a key pair, which is never overwritten"))
    if not context.request.container and any(each.has_key for each in mine):
        raise BadRequest(
            N_("the ukey holds a key pair; leave out --generate, or name a new one's --container")
        )
    if wanted:
        return wanted[0].ref
    ref = KeyRef(application, context.request.container or NEW_CONTAINER)
    return ref if mine else await _without_containers(context, handle, ref)


async def application(context: Context, handle: UkeyHandle) -> KeyRef:
    """Something in the application whose PIN is meant, if that is not a binding's.

    Raises as :func:`new_pair`.
    """
    containers = await handle.do(CONTAINERS, Arguments(), lookups.deadline(context))
    name = await _application(context, handle, containers)
    for each in containers:
        if each.ref.application == name:
            return each.ref
    return await _without_containers(context, handle, KeyRef(name, NEW_CONTAINER))


async def _without_containers(context: Context, handle: UkeyHandle, ref: KeyRef) -> KeyRef:
    """`ref`, if its application is on the ukey: one that holds nothing is in no list.

    The name must match exactly. Otherwise a ukey that opens an application by another spelling too
    would seem to have more PINs, each with a count of its own.
    """
    if ref.application not in await handle.do(APPLICATIONS, Arguments(), lookups.deadline(context)):
        raise NotOnUkey(serial=handle.info.serial)
    return ref


async def _application(
    context: Context, handle: UkeyHandle, containers: Sequence[Container]
) -> str:
    """The named one, or the only one that holds something, or the only one."""
    named = context.request.application
    if named:
        return named
    names = {container.ref.application for container in containers}
    if not names:
        found = await handle.do(APPLICATIONS, Arguments(), lookups.deadline(context))
        names = set(found)
    if not names:
        raise BadRequest(N_("the ukey has no application yet; its maker's software makes one"))
    if len(names) > 1:
        raise BadRequest(
            N_("the ukey has several applications; name one of {applications}"),
            applications=", ".join(map(word, sorted(names))),
        )
    return names.pop()


def _named(context: Context, containers: Sequence[Container]) -> list[Container]:
    """Those that the request does not rule out."""
    wanted = context.request
    return [
        each
        for each in containers
        if wanted.application in ("", each.ref.application)
        and wanted.container in ("", each.ref.container)
    ]


async def _chosen(context: Context, prompt: str, choices: Mapping[str, _T]) -> _T:
    for asked in range(ASKED):
        try:
            typed = await context.conversation.ask(prompt, echo=True)
        except Cancelled:
            if asked:
                break
            raise
        with typed.view() as answer:
            choice = str(answer, "utf-8", "replace").strip()
        if choice in choices:
            return choices[choice]
        await context.conversation.error(context.texts.no_such_choice())
    raise BadRequest(N_("nothing that was offered was chosen; begin again"))
