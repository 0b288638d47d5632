# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey bindings export`` and ``import``: all bindings as a file for the next host."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keyservice.contract.names import DOCUMENT_MAX, ErrorName

from . import output
from .bus import Row, asking, rows, text, word
from .command import Failure, need_root
from .consent import need_yes
from .exits import Exit
from .language import N_, _, reason, why
from .output import Colour

#: The keys of a row, and what they mean.
KEYS = (
    ("user", N_("the user's name")),
    ("uid", N_("the user's number on this host")),
    ("uid_there", N_("the number that the file has")),
    ("serial", N_("the ukey's serial")),
    ("purpose", N_("what the key is for: login or ssh")),
    ("label", N_("how its owner tells it from their others")),
    ("algorithm", N_("the key's algorithm: sm2")),
    ("key", N_("the key's fingerprint, 64 hexadecimal digits")),
    ("state", N_("new; there, if it is bound already; or refused")),
    ("text", N_("why it is refused, in the language of the locale")),
)
_LEFT = tuple(each for each in KEYS if each[0] not in ("uid_there", "state", "text"))


def export(*, json: bool) -> Exit:
    """Print all bindings, but those whose key is revoked."""
    need_root(_("Reading all bindings needs root."))
    with asking() as bus:
        document, left = bus.export_bindings()
    if json:
        output.emit({"ok": True, "document": document, "left": rows(left, _LEFT)})
        return Exit.OK
    sys.stdout.write(document)
    for each in left:
        told = _("{user}, {serial}: left out, its key is revoked")
        output.say(told.format(user=each["user"], serial=text(each["serial"])), Colour.WARNING)
    return Exit.OK


def import_(path: str, *, yes: bool, json: bool) -> Exit:
    """Show what the file at `path` would bind, and bind it if that is meant."""
    need_root(_("Binding a ukey needs root."))
    document = _read(path)
    with asking() as bus:
        found = bus.check_import(document)
    refused = [each for each in found if each.get("state") == "refused"]
    new = [each for each in found if each.get("state") == "new"]
    shown = list(map(_row, found))
    if not json:
        _show(shown)
    if refused:
        raise Failure(
            _("Keys in it cannot be bound here. Nothing was changed."),
            Exit.BOUND,
            error=ErrorName.ALREADY_BOUND,
            hint=_("Take these out of the file, or end what stands in their way."),
            facts={"keys": shown},
        )
    if new and not yes and not json:
        question = _("Bind these {count} keys? All who hold them get in then. [y/N]")
        need_yes(question.format(count=len(new)))
        yes = True
    if new and yes:
        with asking() as bus:
            shown = list(map(_row, bus.import_bindings(document)))
    if json:
        output.emit({"ok": True, "changed": bool(new and yes), "keys": shown})
    elif not new:
        print(_("All of it is bound here already."))
    else:
        print(_("Bound: {count} keys.").format(count=len(new)))
    return Exit.OK


def _row(row: Mapping[str, Any]) -> Row:
    told = {"text": why(row)} if row.get("why") else {}
    return rows([{**row, **told}], KEYS)[0]


def _show(found: Sequence[Row]) -> None:
    states = {"new": _("new"), "there": _("bound already"), "refused": _("refused")}
    output.table(
        [_("USER"), _("UID"), _("SERIAL"), _("PURPOSE"), _("STATE")],
        [
            [
                word(each["user"]),
                text(each["uid"]),
                word(each["serial"]),
                text(each["purpose"]),
                f"{states.get(str(each['state']), each['state'])}"
                + (f": {each['text']}" if each["text"] else ""),
            ]
            for each in found
        ],
    )


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(DOCUMENT_MAX + 1)
        if len(content) > DOCUMENT_MAX:
            said = _("{path} has more than {limit} bytes: divide its records among several files.")
            raise Failure(said.format(path=path, limit=DOCUMENT_MAX), Exit.USAGE)
        return content.decode("ascii")
    except OSError as error:
        said = _("{path} cannot be read: {reason}.")
        raise Failure(said.format(path=path, reason=reason(error)), Exit.USAGE) from None
    except UnicodeDecodeError:
        said = _("{path} is no document of ukey bindings export.")
        raise Failure(said.format(path=path), Exit.USAGE) from None
