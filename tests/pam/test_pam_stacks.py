# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each example lets in exactly who has the password and the ukey, or breaks the glass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

import pytest

from tests.pam.libpam import Code, authenticate
from tests.pam.stacks import EXAMPLES, Line, auth_lines, examples, name_of, with_outcomes

PASSWORD = (Code.SUCCESS, Code.AUTH_ERR, Code.IGNORE, None)
UKEY = (
    Code.SUCCESS,
    Code.AUTH_ERR,
    Code.AUTHINFO_UNAVAIL,
    Code.USER_UNKNOWN,
    Code.MAXTRIES,
    Code.NEW_AUTHTOK_REQD,
    Code.IGNORE,
    None,
)
DECOY = (Code.AUTH_ERR, Code.SUCCESS, Code.IGNORE, None)
#: (the look at the group, the gate)
GLASS = (
    (Code.SUCCESS, Code.SUCCESS),
    (Code.SUCCESS, Code.SYSTEM_ERR),
    (Code.SUCCESS, Code.IGNORE),
    (Code.SUCCESS, None),
    (Code.AUTH_ERR, Code.SUCCESS),
    (Code.IGNORE, Code.SUCCESS),
    (None, Code.SUCCESS),
)
#: What pam_usertype isregular and pam_localuser say of whom, and whom the two ask for a password.
KINDS = {
    "system": (Code.AUTH_ERR, Code.SUCCESS, ("unix",)),
    "local": (Code.SUCCESS, Code.SUCCESS, ("unix", "sss")),
    "directory": (Code.SUCCESS, Code.PERM_DENIED, ("sss",)),
}

Row = dict[str, Code | None]


def rows(roles: set[str]) -> Iterator[tuple[Row, bool, bool]]:
    """(outcomes by role, whether the password is right, whether faillock refuses)."""
    decoys = DECOY if "decoy" in roles else DECOY[:1]
    preauths = (Code.SUCCESS, Code.AUTH_ERR) if "preauth" in roles else (Code.SUCCESS,)
    kinds = KINDS if "sss" in roles else {"local": (Code.SUCCESS, Code.SUCCESS, ("unix",))}
    for (regular, local, asked), preauth in product(kinds.values(), preauths):
        passwords = product(PASSWORD, PASSWORD[:2] if "sss" in roles else PASSWORD[1:2])
        for (unix, sss), ukey, decoy, (member, gate) in product(passwords, UKEY, decoys, GLASS):
            row: Row = {
                "rootok": Code.AUTH_ERR,
                "usertype": regular,
                "localuser": local,
                "unix": unix,
                "sss": sss,
                "preauth": preauth,
                "authfail": Code.AUTH_ERR,
                "look": Code.AUTH_ERR,
                "ukey": ukey,
                "decoy": decoy,
                "member": member,
                "gate": gate,
            }
            yield row, any(row[module] == Code.SUCCESS for module in asked), preauth != 0


def let_in(row: Row, password: bool, refused: bool) -> bool:
    glass = row["member"] == row["gate"] == Code.SUCCESS
    return password and not refused and (row["ukey"] == Code.SUCCESS or glass)


def check_row(folder: Path, lines: list[Line], row: Row, password: bool, refused: bool) -> bool:
    """Run one row, assert all of it, say whether it let in."""
    outcome = authenticate(folder, "row", setcred=True)
    wanted = let_in(row, password, refused)
    assert (outcome.code == Code.SUCCESS) == wanted, (row, outcome)
    assert not wanted or outcome.setcred == Code.SUCCESS, (row, outcome)
    asked = outcome.shown
    roles = {line.role for line in lines}
    glass = row["member"] == row["gate"] == Code.SUCCESS
    # Nobody comes to the ukey, or to the gate, without the password.
    assert password or not {"ukey", "gate"} & set(asked), (row, asked)
    # Uniform: exactly one of both lines asks for the PIN, unless the glass is broken.
    if "decoy" in roles and None not in (row["ukey"], row["decoy"]):
        pins = [role for role in asked if role in ("ukey", "decoy")]
        line = "ukey" if password else "decoy"
        assert pins == ([] if password and glass else [line]), (row, asked)
        if "authfail" in roles and not (wanted or refused):
            assert "authfail" in asked and "authsucc" not in asked, (row, asked)
    return wanted


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_truth_table(path: Path, built: Path, tmp_path: Path) -> None:
    lines = auth_lines(path.read_text())
    count = passed = 0
    for row, password, refused in rows({line.role for line in lines}):
        (tmp_path / "row").write_text(with_outcomes(lines, built / "pam_row.so", row))
        passed += check_row(tmp_path, lines, row, password, refused)
        count += 1
    print(f"{name_of(path)}: {count} rows, {passed} let in")
    assert 0 < passed < count / 2


@pytest.mark.parametrize("how", ["auth include", "auth substack", "@include"])
@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_within_another_stack(path: Path, how: str, built: Path, tmp_path: Path) -> None:
    """What comes after it is run too, and can refuse; nothing jumps past it."""
    lines = auth_lines(path.read_text())
    row_module = built / "pam_row.so"
    passed = 0
    for row, password, refused in islice(rows({line.role for line in lines}), 0, None, 7):
        (tmp_path / "inner").write_text(with_outcomes(lines, row_module, row))
        wanted = let_in(row, password, refused)
        for after in (Code.SUCCESS, Code.PERM_DENIED):
            last = f"auth required {row_module} after {int(after)} 0\n"
            (tmp_path / "row").write_text(f"{how} {tmp_path}/inner\n{last}")
            outcome = authenticate(tmp_path, "row")
            assert (outcome.code == Code.SUCCESS) == (wanted and not after), (row, outcome)
            passed += wanted and not after
    assert passed


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_credentials_alone(path: Path, built: Path, tmp_path: Path) -> None:
    """sshd authenticates in another process; cron does not authenticate at all."""
    lines = auth_lines(path.read_text())
    (tmp_path / "row").write_text(with_outcomes(lines, built / "pam_row.so", {}))
    assert authenticate(tmp_path, "row", setcred_alone=True).setcred == Code.SUCCESS


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_the_files_tell_the_same(path: Path) -> None:
    """Nothing but pam_rootok is `sufficient`, and the two looks at the group are the same."""
    lines = auth_lines(path.read_text())
    sufficient = [line.role for line in lines if line.control == "sufficient"]
    assert sufficient == (["rootok"] if path.name == "su" else [])
    assert len({line.args for line in lines if line.role in ("look", "member")}) == 1
    assert "nullok" not in "".join(map(str, lines))
    roles = [line.role for line in lines]
    assert ("decoy" in roles) == ("uniform" in path.parts)
    other = path.with_name({"system-auth": "password-auth"}.get(path.name, path.name))
    assert auth_lines(other.read_text()) == lines


@pytest.mark.smoke
def test_the_textbooks_pair_would_be_caught(built: Path, tmp_path: Path) -> None:
    """The table finds stacks that fail open: the one that this product replaces, and two slips."""
    good = (EXAMPLES / "debian/helpful/common-auth").read_text()
    pair = "auth required pam_unix.so\nauth sufficient pam_ukey.so\n"
    for bad in (
        pair,
        good.replace("[success=ok default=die]             pam_ukey", "sufficient pam_ukey"),
        good.replace("[success=ignore default=1]", "[success=ignore default=2]"),
    ):
        assert bad != good
        lines = auth_lines(bad)
        with pytest.raises(AssertionError):
            for row, password, refused in rows({line.role for line in lines}):
                (tmp_path / "row").write_text(with_outcomes(lines, built / "pam_row.so", row))
                check_row(tmp_path, lines, row, password, refused)
