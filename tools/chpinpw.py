# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``chpinpw``: change a ukey's PIN, or set a new one on a locked ukey."""

from __future__ import annotations

from collections.abc import Sequence

from keyservice.contract import operations

from .command import need_root, run
from .conversation import VERDICT_KEYS, hold
from .exits import Exit
from .language import N_, _, terminal_name
from .manual import Manual
from .parser import Parser, add_application, add_serial, name

MANUAL = Manual(
    summary=N_("Change the PIN of a ukey."),
    about=N_(
        "The ukey has to be in a reader. The present PIN is asked for, then the new one twice. A "
        "user may change the PIN of a ukey that is bound to them; root that of any ukey. If "
        "several of yours are in readers, you are asked which.\n\n"
        "A PIN has 6 to 16 bytes, 6 to 8 on a PIV card, 6 to 127 on an OpenPGP card: letters, "
        "digits and signs of ASCII are one byte each; some PIV cards take digits only. Every wrong "
        "PIN costs a try, and a ukey without tries is locked.\n\n"
        "--unblock sets a new PIN on a locked ukey. It needs root and the ukey's admin PIN (a PIV "
        "card's PUK), whose tries are shown first; the last of them is never spent, since a ukey "
        "whose admin PIN is locked as well can only be thrown away."
    ),
    examples=(
        ("chpinpw", N_("change the PIN of your own ukey")),
        ("chpinpw --serial 9F3A00017C21", N_("choose among several ukeys that are in readers")),
        ("chpinpw --unblock 9F3A00017C21", N_("the PIN is locked: set a new one, as root")),
    ),
    json_keys=VERDICT_KEYS,
    see=("ukey list", "getpubkey"),
)


def parser() -> Parser:
    out = Parser("chpinpw", MANUAL)
    which = out.add_mutually_exclusive_group()
    add_serial(which, _("the ukey whose PIN is changed; needed only when several are in readers"))
    which.add_argument(
        "--unblock",
        metavar="SERIAL",
        type=name,
        help=_("set a new PIN on this locked ukey, with its admin PIN"),
    )
    add_application(
        out,
        _(
            "the application whose PIN is meant; needed only on a ukey that has several and is not "
            "bound"
        ),
    )
    return out


def command(arguments: Sequence[str]) -> Exit:
    given = parser().parse_args(arguments)
    if given.unblock:
        need_root(_("Unblocking a ukey needs root."))
        return hold(
            operations.UNBLOCK_PIN,
            json=given.json,
            serial=given.unblock,
            application=given.application,
            service="chpinpw",
        )
    return hold(
        operations.CHANGE_PIN,
        json=given.json,
        serial=given.serial,
        application=given.application,
        service="chpinpw",
        tty=terminal_name(),
    )


def main() -> None:
    run(command)


if __name__ == "__main__":
    main()
