# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tables made another way: the stacks' own lines, rewritten by the truth tables' reader, with a
module of the tests' own. This file, not pam check, says what modules return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.libpam import authenticate
from tests.pam.stacks import Line, auth_lines, examples, name_of, with_outcomes
from tests.pamcheck.hosts import letters
from tests.pamcheck.test_mistakes import MISTAKES
from tools.pamcheck.check import check
from tools.pamcheck.places import Places

Outcomes = dict[str, PamCode | None]

#: The codes for people who have an account on the host and are not locked out.
ORDINARY: Mapping[str, PamCode | None] = {
    "usertype": PamCode.SUCCESS,
    "localuser": PamCode.SUCCESS,
    "sss": PamCode.USER_UNKNOWN,
    "preauth": PamCode.SUCCESS,
    "authfail": PamCode.IGNORE,
    "authsucc": PamCode.SUCCESS,
    "env": PamCode.IGNORE,
    "faildelay": PamCode.IGNORE,
    "nologin": PamCode.IGNORE,
    "group": PamCode.IGNORE,
    "look": PamCode.AUTH_ERR,
}
#: The ukey's module's code in each column.
COLUMNS: tuple[tuple[PamCode | None, ...], ...] = (
    (PamCode.SUCCESS,),
    (PamCode.AUTH_ERR, PamCode.MAXTRIES, PamCode.PERM_DENIED),
    (PamCode.AUTHINFO_UNAVAIL,),
    (PamCode.USER_UNKNOWN,),
    (None, PamCode.AUTHINFO_UNAVAIL, PamCode.SERVICE_ERR, PamCode.BUF_ERR),
)
#: The codes of the password's module in each row; the last two come at the end of the input.
ROWS = ((PamCode.SUCCESS,), (PamCode.AUTH_ERR, PamCode.AUTHTOK_ERR, PamCode.CONV_ERR))
_UNREADABLE: tuple[str, ...] = (
    "staff",
    "fprintd",
    "python",
    "ignore_",
    "successok",
    "wheel",
    "shells",
    "substack",
)
_UNREADABLE += ("UID", "Login", "gid", "first_pass", "somebodys", "cred_expired", "system_err")
_UNREADABLE += ("ingroup a", "uid < 1000", "use_uid", "!~", "/opt/", "sepermit", "issue", "echo")
_UNREADABLE += ("usertype", "sss.so", "42949672", "conv_err=ignore")
#: The stacks that the truth tables' reader understands, which knows the examples' lines only.
READABLE = [
    mistake
    for mistake in MISTAKES
    if set("".join(mistake.findings).split())
    & {"password-alone", "ukey-alone", "anybody", "not-enrolled", "tells", "jump-too-far"}
    and mistake.service in ("login", "su", "sshd")
    and not any(word in mistake.text for word in _UNREADABLE)
]


def said_by_ukey(line: Line, code: PamCode | None) -> PamCode | None:
    words = line.args.split()
    if code is None or "decoy" in words:
        return None if code is None else PamCode.AUTH_ERR
    if code == PamCode.USER_UNKNOWN and "nouserok" in words:
        return PamCode.IGNORE
    return PamCode.AUTH_ERR if "uniform" in words and code != PamCode.SUCCESS else code


def outcomes(
    lines: list[Line], service: str, password: PamCode, ukey: PamCode | None
) -> Iterator[Outcomes]:
    """The ordinary case, then the others: who is in the group, whether break-glass opens."""
    for member, gate in product(
        (PamCode.AUTH_ERR, PamCode.SUCCESS), (PamCode.SYSTEM_ERR, PamCode.SUCCESS)
    ):
        found: Outcomes = {**ORDINARY, "unix": password, "member": member, "gate": gate}
        # su runs as its caller, who is not root here; login and sshd as root.
        found["rootok"] = PamCode.AUTH_ERR if service == "su" else PamCode.SUCCESS
        for line in lines:
            if line.role in ("ukey", "decoy"):
                found[line.role] = said_by_ukey(line, ukey)
        yield found


def table(text: str, service: str, folder: Path, module: Path) -> str:
    lines = auth_lines(text)
    rows = []
    for passwords in ROWS:
        row = ""
        for codes in COLUMNS:
            ordinary = unusual = False
            for password, code in product(passwords, codes):
                for number, each in enumerate(outcomes(lines, service, password, code)):
                    (folder / "row").write_text(with_outcomes(lines, module, each))
                    inside = authenticate(folder, "row").code == PamCode.SUCCESS
                    ordinary |= inside and number == 0
                    unusual |= inside
            row += "i" if ordinary else "?" if unusual else "-"
        rows.append(row)
    return " ".join(rows)


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_an_example(path: Path, tmp_path: Path, pam_row: Path) -> None:
    checked = check(Places(), path.name, path, installed=False, beside=path.parent)
    assert checked.table is not None
    assert letters(checked.table) == table(path.read_text(), path.name, tmp_path, pam_row)


def test_the_mistakes(tmp_path: Path, pam_row: Path) -> None:
    assert len(READABLE) > 20
    for mistake in READABLE:
        made = table(mistake.text, mistake.service, tmp_path, pam_row)
        assert mistake.table == made, mistake.name
