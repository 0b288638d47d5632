# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What lists say of the person whom a ukey is bound to, beside the name."""

from __future__ import annotations

from .bus import Row, text, word
from .language import N_, _
from .output import Cell, Colour

#: The keys of a row, and what they mean.
KEYS = (
    ("revoked", N_("whether the key was revoked, and so is not accepted; null: not known")),
    (
        "algorithm_refused",
        N_("whether policy.algorithms in keyservice.toml does not accept the key's algorithm"),
    ),
    (
        "account",
        N_(
            "what became of that user: there, gone, renumbered (the name has another number now), "
            "taken (another name has the number now); null: not known"
        ),
    ),
    ("uid_now", N_("the number that the name has now, where it was renumbered")),
    ("user_now", N_("the name that has the number now, where it was taken")),
)


def note(row: Row) -> Cell:
    """What is wrong with the binding, if anything is."""
    said = []
    if row.get("revoked"):
        said.append(_("revoked: not accepted"))
    if row.get("algorithm_refused"):
        said.append(_("not accepted: policy.algorithms"))
    match row.get("account"):
        case "gone":
            said.append(_("no such user any more"))
        case "renumbered":
            said.append(_("the user's number is {uid} now").format(uid=text(row["uid_now"])))
        case "taken":
            now = word(row["user_now"])
            said.append(_("the user is gone, and the number is {user}'s now").format(user=now))
    return ("; ".join(said), Colour.ALARM) if said else ""
