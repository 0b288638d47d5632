# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The table of docs/factors.md is what follows from the model, which agrees with the real thing.

    python -m tests.model.test_table

writes it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyservice.contract.pam import PamCode
from tests.support import CHECKOUT

from .keys import Asked, Case, Has, Shown, expected
from .rules import Line, Place

DOCUMENT = CHECKOUT / "docs/factors.md"
_TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->\n)", re.DOTALL)
_HAS = {
    Has.UKEY: "a ukey",
    Has.KEY: "an ssh key",
    Has.BOTH: "both",
    Has.UKEY_REVOKED: "both, the ukey revoked",
    Has.NOTHING: "nothing",
    Has.DAMAGED: "a damaged record",
}
_ASKED = {
    Asked.KEY: '`["ssh-key"]` (the default of sshd)',
    Asked.UKEY: '`["ukey"]`',
    Asked.KEY_FIRST: '`["ssh-key", "ukey"]`',
    Asked.UKEY_FIRST: '`["ukey", "ssh-key"]`',
    Asked.NOTHING: "`[]`",
}


def _what(has: Has, asked: Asked, place: Place) -> str:
    """What lets somebody in there, or why nothing does."""
    outcomes = {shown: expected(Case(has, asked, shown, place, Line.HELPFUL)) for shown in Shown}
    let_in = {shown for shown, each in outcomes.items() if each.code is PamCode.SUCCESS}
    if let_in == set(Shown):
        return "the ukey"
    if let_in == {Shown.OWN}:
        return "the key"
    assert not let_in
    codes = {each.code for each in outcomes.values()}
    if codes == {PamCode.USER_UNKNOWN}:
        return "refused; by the password with `nouserok`"
    return {
        PamCode.PERM_DENIED: "refused: it is not asked for",
        PamCode.AUTH_ERR: "refused: it was revoked",
        PamCode.AUTHINFO_UNAVAIL: "refused",
    }[codes.pop()]


def rows() -> Iterator[str]:
    yield "| Asked for | " + " | ".join(_HAS.values()) + " |"
    yield "|---" * (len(_HAS) + 1) + "|"
    here = (_what(has, Asked.KEY, Place.CONSOLE) for has in _HAS)
    yield '| at this machine, `["ukey"]` (the default) | ' + " | ".join(here) + " |"
    for asked, text in _ASKED.items():
        afar = (_what(has, asked, Place.SSHD_ALLOWED) for has in _HAS)
        yield f"| by ssh, {text} | " + " | ".join(afar) + " |"


def table() -> str:
    return "".join(f"{row}\n" for row in rows())


def written(document: str) -> str:
    """The document with the table as it should be."""
    assert _TABLE.search(document)
    return _TABLE.sub(lambda found: found[1] + "\n" + table() + "\n" + found[2], document)


def test_the_document_has_the_table_that_follows() -> None:
    document = DOCUMENT.read_text()
    assert written(document) == document, "python -m tests.model.test_table writes it again"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
