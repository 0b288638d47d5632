# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey status``: the state of the keyservice, and what its configuration allows."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.client.session import ClientError, SocketSession
from keyservice.contract.names import CONFIG_FILE, SELINUX_DOMAIN, ErrorName
from tools import output, selinux, service
from tools.bus import Row, asking, row, text
from tools.command import Failure
from tools.exits import Exit
from tools.language import N_, _, why
from tools.manual import Manual
from tools.output import Cell, Colour
from tools.parser import Parser

KEYS = (
    ("version", N_("the keyservice's version")),
    ("pcscd", N_("whether pcscd answers, and so readers are seen")),
    ("readers", N_("how many readers are seen")),
    ("sm2_engine", N_("what verifies signatures: openssl or gmssl")),
    ("allow_virtual_readers", N_("whether emulated ukeys let people in: for tests only")),
    ("shared_pcsc", N_("whether other programs than the keyservice may use the readers")),
    ("selinux", N_("the SELinux type that the keyservice runs in; null without SELinux")),
    ("bindings", N_("how many ukeys are bound; for root, as what follows")),
    (
        "refused_bindings",
        N_("how many of these have a key of an algorithm that policy.algorithms does not accept"),
    ),
    ("damaged_records", N_("how many records and histories are damaged or gone")),
    ("damaged_path", N_("the first of these; 'ukey bindings' has all")),
    ("why", N_("the name of what is wrong with it, such as mode")),
    ("revocations", N_("how many keys are revoked")),
    ("sessions", N_("how many conversations are open")),
)

MANUAL = Manual(
    summary=N_("Show how the keyservice is, and what weakens its configuration."),
    about=N_(
        "Begin here when logins fail. The exit status tells the worst for a monitoring system: 3 "
        "where the keyservice or the bus does not answer, or SELinux keeps login programs from "
        "it, 7 where pcscd does not answer, 12 where a record or a history is damaged or gone, 0 "
        "where all is well.\n\n"
        "pam_ukey.so and the commands that ask for PINs do without the bus: they need the socket "
        "only."
    ),
    examples=(
        ("ukey status", N_("is all well?")),
        ("ukey status --json", N_("the same for a monitoring system")),
    ),
    json_keys=(
        ("socket", N_("whether the keyservice's own socket answers")),
        (
            "selinux_module_missing",
            N_("whether SELinux keeps login programs from it; null where that cannot be seen"),
        ),
        *KEYS,
    ),
    files=((CONFIG_FILE, N_("the configuration")),),
    see=("ukey list", "ukey bindings", "keyservice(8)", "keyservice.toml(5)"),
)


def parser() -> Parser:
    return Parser("ukey status", MANUAL)


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    found: Row = {"socket": _socket_answers(), "selinux_module_missing": selinux.module_missing()}
    try:
        with asking() as bus:
            answer = bus.status()
            found |= row(answer, KEYS)
            damage = f"{answer['damaged_path']}: {why(answer)}" if found["damaged_path"] else ""
    except Failure as failure:
        told = _without_bus(failure, found)
        told.facts |= found
        raise told from None
    if selinux.enforces() and found["selinux"] not in (None, SELINUX_DOMAIN):
        found["selinux_module_missing"] = True
    worst = _worst(found)
    if worst is not None:
        if not given.json:
            _show(found, damage)
        worst.facts.update(found)
        raise worst
    if given.json:
        output.emit({**found, "ok": True})
    else:
        _show(found, damage)
    return Exit.OK


def _socket_answers() -> bool:
    try:
        with SocketSession(timeout=2):
            return True
    except ClientError:
        return False


def _without_bus(failure: Failure, found: Row) -> Failure:
    """What is wrong, or still works, where the bus does not answer."""
    if found["selinux_module_missing"]:
        return _module_missing()
    if found["socket"] and failure.error == service.UNREACHABLE:
        failure.hint = _(
            "The keyservice itself runs: logins through pam_ukey.so and the commands that ask for "
            "PINs work. Start the system bus; the keyservice comes back to it by itself."
        )
    return failure


def _module_missing() -> Failure:
    """This holds whatever answers this tool, which runs in a domain that may ask."""
    return Failure(
        _(selinux.MISSING),
        Exit.UNREACHABLE,
        error=service.UNREACHABLE,
        hint=_(selinux.REMEDY),
    )


def _worst(found: Row) -> Failure | None:
    if found["selinux_module_missing"]:
        return _module_missing()
    if not found["socket"]:
        return Failure(
            _("The keyservice's socket does not answer: logins through pam_ukey.so fail."),
            Exit.UNREACHABLE,
            error=service.UNREACHABLE,
            hint=service.log_hint(),
        )
    if found["pcscd"] is False:
        return Failure(
            _("pcscd does not answer: no ukey can be used."),
            Exit.ABSENT,
            error=ErrorName.READER_ABSENT,
            hint=_("Start it: systemctl start pcscd.socket"),
        )
    if found["damaged_records"]:
        return Failure(
            _("Records or revocations are damaged or gone: nobody gets in by them."),
            Exit.RECORDS,
            error=ErrorName.RECORD_DAMAGED,
            hint=_(
                "'ukey bindings' names the files and what is wrong with them. Put them back; what "
                "is lost for good is accepted with 'ukey accept-state'."
            ),
        )
    return None


def _show(found: Row, damage: str) -> None:
    """`damage`: the first file that is damaged or gone, and what is wrong with it."""
    answers = (_("answers"), Colour.GOOD)
    silent = (_("does not answer"), Colour.ALARM)
    lines: list[tuple[str, Cell]] = [
        (_("Keyservice"), text(found["version"])),
        (_("Socket"), answers if found["socket"] else silent),
        (_("pcscd"), answers if found["pcscd"] else silent),
        (_("Readers"), text(found["readers"])),
        (_("SM2 by"), text(found["sm2_engine"])),
    ]
    if (damaged := found["damaged_records"]) is not None:
        told = (f"{damaged} ({damage})" if damage else text(damaged)), Colour.ALARM
        lines += [
            (_("Bindings"), text(found["bindings"])),
            (_("Damaged records"), told if damaged else text(damaged)),
            (_("Revoked keys"), text(found["revocations"])),
            (_("Open sessions"), text(found["sessions"])),
        ]
    if found["refused_bindings"]:
        said = _("{count}: policy.algorithms does not accept their keys")
        said = said.format(count=found["refused_bindings"])
        lines.append((_("Refused"), (said, Colour.ALARM)))
    if found["allow_virtual_readers"]:
        said = _("ALLOWED: the key of an emulated ukey can be copied; for tests only")
        lines.append((_("Emulated readers"), (said, Colour.ALARM)))
    if found["shared_pcsc"]:
        said = _("SHARED: any program can block the readers and burn tries of PINs")
        lines.append((_("Reader access"), (said, Colour.WARNING)))
    if found["selinux"] == SELINUX_DOMAIN:
        lines.append((_("SELinux"), (_("confines the keyservice"), Colour.GOOD)))
    elif found["selinux"] is not None:
        said = _("DOES NOT CONFINE the keyservice: /usr/libexec/ukey/selinux-module load")
        lines.append((_("SELinux"), (said, Colour.WARNING)))
    output.fields(lines)
