# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every --help teaches: examples that parse, all exit statuses, in both languages; usage errors
are short and exit with 2."""

from __future__ import annotations

import shlex

import pytest

from keyservice import __version__
from keyservice.contract.names import Code, ErrorName
from keyservice.core import errors
from keyservice.core.errors import UkeyError
from tests.tools.running import Commands
from tools import exits
from tools.commands import parsers
from tools.exits import Exit
from tools.output import width
from tools.parser import Parser, arguments

HELPS = [parser.prog.split() for parser in parsers()]


def test_each_error_and_code_has_its_exit_status() -> None:
    """A new name in the contract has to get one: the fallback is for newer services only."""
    for name in ErrorName:
        assert (errors.named(name) is UkeyError) == (name is ErrorName.FAILED), name
        assert exits.of_error(name) is not Exit.OK
    for code in Code:
        assert (exits.of_verdict(code, None) is Exit.OK) == (code is Code.SUCCESS)
    assert exits.of_verdict(Code.AUTH_ERR, ErrorName.THROTTLED) is Exit.NO_TRY
    assert exits.of_verdict(Code.SUCCESS, ErrorName.FAILED) is Exit.OK


def test_each_exit_status_has_a_meaning() -> None:
    assert list(exits.MEANINGS) == list(Exit)


@pytest.mark.parametrize("command", HELPS, ids="-".join)
def test_help_has_examples_and_every_exit_status(commands: Commands, command: list[str]) -> None:
    done = commands.piped(*command, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "examples:" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    for status, meaning in exits.MEANINGS.items():
        assert any(line[:1] == [str(int(status))] for line in lines), status
        assert meaning.split()[0] in done.stdout
    assert all(width(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", HELPS, ids="-".join)
def test_each_tells_the_version(commands: Commands, command: list[str]) -> None:
    done = commands.piped(*command, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pam-ukey {__version__}\n", "")


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.prog)
def test_every_command_has_json_whose_keys_are_documented(parser: Parser) -> None:
    """Except for the one that only has subcommands."""
    offered = any("--json" in each.flags for each in arguments(parser))
    assert offered == bool(parser.manual.json_keys) != bool(parser.manual.subcommands)


@pytest.mark.parametrize("command", HELPS, ids="-".join)
def test_each_example_is_a_command_line_that_parses(commands: Commands, command: list[str]) -> None:
    """It gets as far as asking the keyservice, which does not run here; or it needs none, or reads
    a file before that is not here either."""
    text = commands.piped(*command, "--help").stdout.split("examples:")[1].split("\n\n")[0]
    examples = [line.strip() for line in text.splitlines() if line.strip()[:1] not in ("#", "")]
    examples = [line for line in examples if line.startswith(command[0])]
    assert examples
    for example in examples:
        words = shlex.split(example.split("|")[0], comments=True)
        done = commands.piped(*words)
        assert "Try:" not in done.stderr, (example, done.stderr)
        absent = "cannot be read: No such file" in done.stderr
        if "pam" not in command and command[-1] != "accept-state" and not absent:
            assert done.returncode in (Exit.UNREACHABLE, Exit.CANCELLED), (example, done.stderr)


@pytest.mark.parametrize(
    "command",
    [
        ["getpubkey"],
        ["getpubkey", "a", "b"],
        ["getpubkey", "--no-such", "a"],
        ["getpubkey", "--ser", "1", "a"],
        ["rmpubkey"],
        ["chpinpw", "--serial", "1", "--unblock", "2"],
        ["chpinpw", "--application", ""],
        ["chpinpw", "--unblock", ""],  # is not: change the PIN of whatever is inserted
        ["chpinpw", "--serial="],
        ["getpubkey", "", "--container", "c"],
        ["ukey"],
        ["ukey", "lsit"],
        ["ukey", "revocation", "undo"],
        ["ukey", "forget"],
        ["ukey", "accept-state", "now"],
        ["ukey", "pam"],
        ["ukey", "pam", "lsit"],
        ["ukey", "throttle"],
        ["ukey", "throttle", "reset"],
    ],
    ids="-".join,
)
def test_a_wrong_command_line_is_short_and_points_to_help(
    commands: Commands, command: list[str]
) -> None:
    done = commands.piped(*command)
    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert f"Try: {command[0]}" in done.stderr
    assert "--help" in done.stderr
    assert len(done.stderr.splitlines()) <= 6


def test_a_control_character_on_the_command_line_is_shown_escaped(commands: Commands) -> None:
    done = commands.piped("ukey", "\x1b[2J")
    assert "\x1b" not in done.stderr
