# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which PAM files pass on safely what sshd has verified: those where nothing runs before."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.access import ssh_stack
from keyservice.core.errors import SshKeyUntold

TAKES = "auth optional pam_ukey.so take_ssh_key\n"
REST = "auth requisite pam_unix.so\nauth [success=ok default=die] pam_ukey.so\n"


def why(folder: Path, text: str | None) -> str:
    """Why the file is not believed, "" if it is."""
    if text is not None:
        (folder / "sshd").write_text(text)
    try:
        ssh_stack.check("sshd", [folder, folder / "vendor"])
    except SshKeyUntold as error:
        return str(error.facts["why"])
    return ""


@pytest.mark.parametrize(
    "text",
    [
        TAKES + REST,
        "# auth required pam_env.so\n\n" + TAKES + REST,
        "#%PAM-1.0\n  AUTH\toptional   /lib/security/pam_ukey.so\ttake_ssh_key # first\n" + REST,
        "-auth [success=ok default=ignore] $ISA/pam_ukey.so take_ssh_key\n" + REST,
        "account include common-account\nsession optional pam_env.so user_readenv=1\n" + TAKES,
        TAKES + "@include common-auth\n",
    ],
)
def test_where_the_line_is_the_first_of_all(tmp_path: Path, text: str) -> None:
    assert why(tmp_path, text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "auth required pam_env.so user_readenv=1\n" + TAKES + REST,
        "auth optional pam_permit.so\n" + TAKES,
        "-auth optional pam_permit.so\n" + TAKES,
        "@include common-auth\n" + TAKES,
        "auth include common-auth\n" + TAKES,
        "auth substack common-auth\n" + TAKES,
        REST + TAKES,
        REST,
        "# over two lines \\\n" + TAKES,
        "account required \\\n" + TAKES,
        "auth optional \\\npam_ukey.so take_ssh_key\n",
        "auth optional pam_ukey.so\n" + TAKES,
        "auth optional pam_ukey.so take_ssh_key debug\n",
        "auth optional pam_ukey.so take_ssh_keys\n",
        "auth optional not_pam_ukey.so take_ssh_key\n",
        "auth optional pam_ukey.so.old take_ssh_key\n",
        "auth optional pam_exec.so pam_ukey.so take_ssh_key\n",
    ],
)
def test_where_another_one_may_run_before(tmp_path: Path, text: str) -> None:
    assert why(tmp_path, text) == "stack-first"


def test_where_there_is_no_such_line_or_file(tmp_path: Path) -> None:
    assert why(tmp_path, None) == "ENOENT"
    assert why(tmp_path, "session optional pam_ukey.so take_ssh_key\n") == "stack-lacks"
    assert why(tmp_path, "#" * 65537) == "stack-size"
    (tmp_path / "sshd").unlink()
    (tmp_path / "sshd").mkdir()
    assert why(tmp_path, None) == "EISDIR"


def test_the_administrators_file_hides_the_vendors(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor/sshd").write_text(TAKES)
    assert why(tmp_path, None) == ""
    assert why(tmp_path, REST) == "stack-first"
