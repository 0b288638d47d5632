# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Tables made another way: the stacks' own lines, rewritten by the truth tables' reader, with a
module of the tests' own, and what this file, not check-pam, says that modules return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest

from tests.pam.libpam import Code, authenticate
from tests.pam.stacks import Line, auth_lines, examples, name_of, with_outcomes
from tests.pamcheck.hosts import letters
from tests.pamcheck.test_mistakes import MISTAKES
from tools.pamcheck.check import check
from tools.pamcheck.places import Places

Outcomes = dict[str, Code | None]

#: Of whoever has an account on the host and is not locked out.
ORDINARY: Mapping[str, Code | None] = {
    "usertype": Code.SUCCESS,
    "localuser": Code.SUCCESS,
    "sss": Code.USER_UNKNOWN,
    "preauth": Code.SUCCESS,
    "authfail": Code.IGNORE,
    "authsucc": Code.SUCCESS,
    "env": Code.IGNORE,
    "faildelay": Code.IGNORE,
    "nologin": Code.IGNORE,
    "group": Code.IGNORE,
    "look": Code.AUTH_ERR,
}
#: What the ukey's module says in each column.
COLUMNS: tuple[tuple[Code | None, ...], ...] = (
    (Code.SUCCESS,),
    (Code.AUTH_ERR, Code.MAXTRIES, Code.PERM_DENIED),
    (Code.AUTHINFO_UNAVAIL,),
    (Code.USER_UNKNOWN,),
    (None, Code.AUTHINFO_UNAVAIL, Code.SERVICE_ERR, Code.BUF_ERR),
)
#: What the password's module says in each row; at the end of the input the last two.
ROWS = ((Code.SUCCESS,), (Code.AUTH_ERR, Code.AUTHTOK_ERR, Code.CONV_ERR))
#: Those that the truth tables' reader, which knows the examples' lines only, understands.
READABLE = [
    mistake
    for mistake in MISTAKES
    if set("".join(mistake.findings).split())
    & {"password-alone", "ukey-alone", "anybody", "not-enrolled", "tells", "jump-too-far"}
    and not any(
        word in mistake.text for word in ("staff", "fprintd", "python", "ignore_", "successok")
    )
]


def said_by_ukey(line: Line, code: Code | None) -> Code | None:
    words = line.args.split()
    if code is None or "decoy" in words:
        return None if code is None else Code.AUTH_ERR
    if code == Code.USER_UNKNOWN and "nouserok" in words:
        return Code.IGNORE
    return Code.AUTH_ERR if "uniform" in words and code != Code.SUCCESS else code


def outcomes(
    lines: list[Line], service: str, password: Code, ukey: Code | None
) -> Iterator[Outcomes]:
    """The ordinary case, then the others: who is in the group, whether break-glass opens."""
    for member, gate in product((Code.AUTH_ERR, Code.SUCCESS), (Code.SYSTEM_ERR, Code.SUCCESS)):
        found: Outcomes = {**ORDINARY, "unix": password, "member": member, "gate": gate}
        # su runs as its caller, who is not root here; login and sshd as root.
        found["rootok"] = Code.AUTH_ERR if service == "su" else Code.SUCCESS
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
                    inside = authenticate(folder, "row").code == Code.SUCCESS
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
