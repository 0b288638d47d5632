# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey list``: the ukeys that are in readers now."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tools import output, owner
from tools.bus import Row, asking, rows, text, word
from tools.exits import Exit
from tools.language import N_, _, ngettext
from tools.manual import Manual
from tools.output import Cell, Colour
from tools.parser import Parser

KEYS = (
    ("reader", N_("the reader's name")),
    ("mine", N_("whether the ukey is bound to you")),
    ("card", N_("whether something is in the reader")),
    (
        "kind",
        N_("the kind of ukey, such as gmt0017, piv or openpgp; null where it is not a known one"),
    ),
    ("serial", N_("the ukey's serial")),
    ("label", N_("the ukey's label")),
    ("manufacturer", N_("the ukey's manufacturer")),
    ("user", N_("who it is bound to")),
    *owner.KEYS,
    ("left", N_("tries left of its PIN; null before it was first asked")),
    ("maximum", N_("wrong PINs in a row that lock it")),
    ("pause", N_("seconds until a PIN is taken again, 0 for none")),
    ("refused", N_("whether the configuration does not allow the reader")),
    ("virtual", N_("whether the reader is an emulated one")),
)

MANUAL = Manual(
    summary=N_("Show the ukeys that are in readers now."),
    about=N_(
        "root sees every reader and what is in it. Others see which readers hold a ukey, and the "
        "serial, the label and the tries left of their own."
    ),
    examples=(
        ("ukey list", N_("is my ukey seen, and how many tries has its PIN left?")),
        ("ukey list --json | jq -r '.ukeys[].serial'", N_("the serials, one a line")),
    ),
    json_keys=(("ukeys", N_("a list, with an object for each reader:")), *KEYS),
    see=("getpubkey", "ukey watch", "ukey status"),
)


def parser() -> Parser:
    return Parser("ukey list", MANUAL)


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    with asking() as bus:
        found = rows(bus.list_ukeys(), KEYS)
    if given.json:
        output.emit({"ok": True, "ukeys": found})
    elif found:
        show(found)
    elif os.geteuid() == 0:  # the list would show root empty ones
        output.say(_("No reader is seen. 'ukey status' tells whether pcscd answers."))
    else:
        output.say(_("No ukey is in any reader. 'ukey watch' tells when one is inserted."))
    return Exit.OK


def show(found: Sequence[Row]) -> None:
    heads = [_("SERIAL"), _("LABEL"), _("USER"), _("PIN"), _("READER"), _("NOTE")]
    output.table(
        heads,
        [
            [
                word(each["serial"]),
                text(each["label"]),
                word(each["user"]),
                tries(each),
                text(each["reader"]),
                note(each),
            ]
            for each in found
        ],
    )


def tries(ukey: Row) -> Cell:
    """The known facts about the PIN's tries."""
    left, maximum, pause = ukey["left"], ukey["maximum"], ukey["pause"]
    if left == 0:
        return _("locked"), Colour.ALARM
    if isinstance(pause, int) and pause > 0:
        return _("pause, {seconds} s").format(seconds=pause), Colour.WARNING
    if not isinstance(left, int) or not isinstance(maximum, int):
        return "-"
    # the noun goes by the number before it
    shown = ngettext("{left} of {maximum} try", "{left} of {maximum} tries", maximum)
    colour = Colour.NONE if left == maximum else Colour.WARNING
    return shown.format(left=left, maximum=maximum), colour


def note(ukey: Row) -> Cell:
    """What is special about a reader or what is in it."""
    if ukey["refused"]:
        return _("reader not allowed"), Colour.WARNING
    if ukey["card"] is False:
        return _("empty"), Colour.FAINT
    if ukey["card"] and ukey["kind"] is None:
        return _("not a known ukey"), Colour.WARNING
    if said := owner.note(ukey):
        return said
    if ukey["virtual"]:
        return _("emulated reader"), Colour.ALARM
    if ukey["card"] is None:
        return _("not yours"), Colour.FAINT
    return ""
