# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The tables of docs/factors.md are what follows from the models, which agree with the real thing.

    python -m tests.model.test_table

writes them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from keyservice.contract.pam import PamCode
from tests.support import CHECKOUT

from . import sessions
from .keys import Asked, Case, Has, Shown, expected
from .rules import Line, Place
from .sessions import Opened

DOCUMENT = CHECKOUT / "docs/factors.md"
_TABLE = re.compile(r"(<!-- (table[a-z ]*) -->\n).*?(<!-- end -->\n)", re.DOTALL)
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


#: What su asks for, and the columns: what the person has, in a session that this has opened.
_SU_ASKED = {
    sessions.Asked.NO_LINE: "no such line",
    sessions.Asked.SESSION: '`["session"]`',
    sessions.Asked.SESSION_FIRST: '`["session", "ukey"]`',
    sessions.Asked.UKEY_FIRST: '`["ukey", "session"]`',
    sessions.Asked.UKEY: '`["ukey"]`',
    sessions.Asked.NOTHING: "`[]`",
}
_OPENED = {
    (Has.UKEY, Opened.UKEY): "a ukey, which has opened it",
    (Has.BOTH, Opened.UKEY): "both; the ukey has opened it",
    (Has.KEY, Opened.KEY): "an ssh key, which has opened it",
    (Has.BOTH, Opened.KEY): "both; the ssh key has opened it",
    (Has.BOTH, Opened.NOTHING): "both; neither has opened it",
}


def _what_in_su(has: Has, opened: Opened, asked: sessions.Asked) -> str:
    outcome = sessions.expected(sessions.Case(has, opened, asked, Line.HELPFUL))
    if outcome.code is PamCode.SUCCESS:
        return "the ukey" if outcome.sent else "the password alone"
    assert outcome.code is PamCode.PERM_DENIED
    return "refused"


def su_rows() -> Iterator[str]:
    yield "| `factors_from_afar` of `sudo` | " + " | ".join(_OPENED.values()) + " |"
    yield "|---" * (len(_OPENED) + 1) + "|"
    for asked, text in _SU_ASKED.items():
        cells = (_what_in_su(has, opened, asked) for has, opened in _OPENED)
        yield f"| {text} | " + " | ".join(cells) + " |"


#: By the names that the document has for them.
TABLES: dict[str, Callable[[], Iterator[str]]] = {"table": rows, "table of su": su_rows}


def written(document: str) -> str:
    """The document with the tables as they should be."""

    def table(found: re.Match[str]) -> str:
        rows = "".join(f"{row}\n" for row in TABLES[found[2]]())
        return f"{found[1]}\n{rows}\n{found[3]}"

    assert sorted(name for _, name, _ in _TABLE.findall(document)) == sorted(TABLES)
    return _TABLE.sub(table, document)


def test_the_document_has_the_tables_that_follow() -> None:
    document = DOCUMENT.read_text()
    assert written(document) == document, "python -m tests.model.test_table writes them again"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
