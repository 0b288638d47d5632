# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Where a command cannot write: its reader leaves, the disk is full, the output is closed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.tools.running import COMMANDS, ENVIRONMENT

CHECK = ("pam", "check", "--stacks-only")
#: The exit status of each where all is well.
STATUSES = {"open": 13, "holds": 0, "help": 0}


@pytest.fixture(params=[*STATUSES, "open-json"])
def arguments(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A command that fails, one that does not, and help."""
    if request.param == "help":
        return ["--help"]
    ukey = "sufficient" if request.param != "holds" else "required"
    stack = tmp_path / "login"
    stack.write_text(f"auth required pam_unix.so\nauth {ukey} pam_ukey.so\n")
    return [*CHECK, str(stack), *["--json"] * (request.param == "open-json")]


def ended(arguments: list[str], redirection: str) -> tuple[int, str]:
    """The status, and the text on standard error."""
    command = [COMMANDS["ukey"], *arguments]
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command]
    done = subprocess.run(shell, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False)
    return done.returncode, done.stderr.decode()


def test_a_reader_that_leaves_ends_it_quietly(arguments: list[str]) -> None:
    gone, output = os.pipe()
    os.close(gone)
    os.set_inheritable(output, True)
    command = [COMMANDS["ukey"], *arguments]
    done = subprocess.run(
        command, stdout=output, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60, check=False
    )
    os.close(output)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr in (b"", b"1 finding to mend.\n")


def test_a_full_disk_is_told(arguments: list[str]) -> None:
    status, said = ended(arguments, ">/dev/full")
    assert status == 1
    told = "The output could not be written: No space left on device.\n"
    assert said in (told, f"1 finding to mend.\n{told}")


def test_where_nothing_can_be_said_the_status_is_the_same(arguments: list[str]) -> None:
    usual, said = ended(arguments, ">/dev/null")
    assert ended(arguments, ">/dev/null 2>/dev/full") == (usual, "")
    assert usual == (13 if said else 0)


def test_without_standard_output_the_status_is_the_same(arguments: list[str]) -> None:
    status, said = ended(arguments, ">&-")
    assert status == (13 if "--help" not in arguments and said else 0)
    assert said in ("", "1 finding to mend.\n")
