# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The stack that Debian's own pam-auth-update makes of the profile, beside others: row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.pam.stacks import EXAMPLES, auth_lines
from tests.pam.tables import Table, Wrong, rows
from tests.pam.test_pam_stacks import PLACES, placed
from tests.support.process import must

PROFILES = Path("/usr/share/pam-configs")
#: As Debian's libpam-sss has it.
SSS = """\
Name: SSS authentication
Default: yes
Priority: 128
Auth-Type: Primary
Auth:
\t[success=end default=ignore]\tpam_sss.so use_first_pass
Auth-Initial:
\t[success=end default=ignore]\tpam_sss.so forward_pass
"""
#: Such as pam_cap, pam_ecryptfs or a keyring: before ours and after it.
EARLY, LATE = (
    f"Name: {name}\nDefault: yes\nPriority: {priority}\nAuth-Type: Additional\nAuth:\n"
    f"\toptional\tpam_{name}.so\n"
    for name, priority in (("early", 100), ("late", 0))
)
BESIDE = {"alone": {}, "with SSSD": {"sss": SSS}, "among others": {"early": EARLY, "late": LATE}}


def rendered(pam_d: Path, beside: dict[str, str], *, strict: bool = False) -> str:
    """The auth stack that pam-auth-update writes."""
    profile = PROFILES / "ukey"
    if strict:  # as pam.d-examples/README.md says, when nobody is without a ukey any more
        text = profile.read_text()
        changed = text.replace(" nouserok", "").replace(" ignore=ignore", "")
        assert changed != text
        profile.write_text(changed)
    for name, text in beside.items():
        (PROFILES / name).write_text(text)
    try:
        must(["pam-auth-update", "--package", "--enable", "unix", "ukey", *beside])
        return (pam_d / "common-auth").read_text()
    finally:
        for name in beside:
            (PROFILES / name).unlink()


@pytest.mark.parametrize("strict", [False, True], ids=["roll-out", "strict"])
@pytest.mark.parametrize("beside", BESIDE)
def test_truth_table(beside: str, strict: bool, pam_d: Path, built: Path, tmp_path: Path) -> None:
    lines = auth_lines(rendered(pam_d, BESIDE[beside], strict=strict))
    roles = [line.role for line in lines]
    assert roles.index("deny") < roles.index("member") < roles.index("gate") < roles.index("ukey")
    assert set(BESIDE[beside]) <= set(roles)
    table = Table(lines, built, tmp_path, exempt=not strict)
    count, passed = table.count(rows(table.roles))
    assert 0 < passed < count / 2
    for place in PLACES:
        inside = placed(table, place)
        some = list(rows(table.roles))[::5]
        assert inside.count(some, last=PamCode.SUCCESS)[1] > 0
        assert inside.count(some, last=PamCode.PERM_DENIED)[1] == 0
    with pytest.raises(Wrong):  # it is not the other kind
        Table(lines, built, tmp_path, exempt=strict).count(rows(table.roles))


def test_the_examples_are_whole_without_it() -> None:
    """No file that replaces one of Debian's counts on what pam-auth-update writes for auth."""
    for path in (EXAMPLES / "debian").glob("*/*"):
        assert "@include common-auth" not in path.read_text()
