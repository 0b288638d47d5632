# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a PAM stack needs is not uninstalled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.conftest import Below
from tests.support.machine import differences, tree
from tests.support.process import run


@pytest.mark.parametrize(
    "line",
    [
        "auth [success=ok default=die] pam_ukey.so uniform",
        "auth required /usr/lib/x86_64-linux-gnu/security/pam_ukey.so",
        "-auth required pam_ukey.so",
        "auth required pam_python.so /usr/lib/ukey/pam_ukey/entry.py",
        "auth sufficient pam_exec.so /usr/libexec/ukey/breakglass",
    ],
)
def test_what_a_stack_uses_is_not_removed(installed: Below, line: str) -> None:
    stack = installed.path / "etc/pam.d/sshd"
    stack.parent.mkdir()
    stack.write_text(f"# auth required pam_ukey.so\n{line}\n")
    before = tree(installed.path)
    done = installed.uninstall()
    assert done.returncode == 1
    assert f"\n  /etc/pam.d/sshd:2:{line}\n" in done.stderr
    assert differences(before, tree(installed.path)) == []
    stack.write_text("# auth required pam_ukey.so\nauth required pam_unix.so # not pam_ukey.so\n")
    assert installed.uninstall().returncode == 0


def test_no_program_of_the_caller_s_answers_for_it(tmp_path: Path) -> None:
    stack = tmp_path / "etc/pam.d/sshd"
    stack.parent.mkdir(parents=True)
    stack.write_text("auth required pam_ukey.so\n")
    for name in ("grep", "sed", "cat"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    done = run(["/usr/libexec/ukey/in-use", tmp_path], env={"PATH": f"{tmp_path}:/usr/bin"})
    assert (done.returncode, "sshd:1:auth" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("stack", "include", "part"),
    [
        ("etc/pam.d/sshd", "@include /etc/security/both", "etc/security/both"),
        ("etc/pam.d/sshd", "auth include /etc/security/both # so", "etc/security/both"),
        ("etc/pam.d/sshd", "-auth\tsubstack  parts/both", "etc/pam.d/parts/both"),
        ("etc/pam.d/sshd", "@include both.old", "etc/pam.d/both.old"),
        ("usr/etc/pam.d/sshd", "auth include parts/both", "usr/lib/pam.d/parts/both"),
    ],
)
def test_what_a_stack_includes_is_used_too(
    installed: Below, stack: str, include: str, part: str
) -> None:
    line = "auth required pam_ukey.so"
    for name, text in ((stack, f"{include}\n"), (part, f"{include}\n# caf\xe9 *\n{line}\n")):
        path = installed.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    done = installed.uninstall()
    assert done.returncode == 1
    assert f"\n  /{part}:3:{line}\n" in done.stderr
    (installed.path / stack).write_text(f"#{include}\n")
    assert installed.uninstall().returncode == 0


@pytest.mark.parametrize("name", ["sshd.dpkg-old", "common-auth.pam-old", "su~", "login.bak"])
def test_former_versions_of_stacks_do_not_count(installed: Below, name: str) -> None:
    """Nothing reads them: pam-auth-update keeps one itself, when it is forced."""
    stack = installed.path / "etc/pam.d" / name
    stack.parent.mkdir()
    stack.write_text("auth required pam_ukey.so\n")
    assert installed.uninstall().returncode == 0
