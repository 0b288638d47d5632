# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey throttle reset SERIAL``: end the pause after wrong PINs."""

from __future__ import annotations

from collections.abc import Sequence

from tools import output
from tools.bus import asking
from tools.command import need_root
from tools.exits import Exit
from tools.language import N_, _
from tools.manual import Manual
from tools.parser import Parser

MANUAL = Manual(
    section=8,
    summary=N_("End the pause of a ukey after wrong PINs."),
    about=N_(
        "After three wrong PINs in a row the keyservice takes none for a minute, then two, and so "
        "on; the right PIN ends that too. The pause keeps a guesser from locking somebody's ukey "
        "in one go. Ending it gives the ukey no tries back: 'chpinpw --unblock' does. Needs root; "
        "written to the audit log."
    ),
    examples=(
        ("ukey throttle reset 9F3A00017C21", N_("alice mistyped her PIN and cannot wait")),
        ("ukey list", N_("shows the pauses")),
    ),
    json_keys=(("serial", N_("the ukey's serial")),),
    see=("ukey list", "chpinpw"),
)


def parser() -> Parser:
    out = Parser("ukey throttle", MANUAL)
    out.add_argument("action", metavar="reset", choices=("reset",), help=_("end the pause"))
    out.add_argument("serial", metavar="SERIAL", help=_("the ukey's serial"))
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    need_root(_("Ending a pause needs root."))
    with asking() as bus:
        bus.reset_throttle(given.serial)
    if given.json:
        output.emit({"ok": True, "serial": given.serial})
    else:
        text = _("PINs of ukey {serial} are taken again.")
        print(output.printable(text.format(serial=given.serial)))
    return Exit.OK
