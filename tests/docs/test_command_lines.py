# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every command line of ours that a document shows, or a text of the tools quotes, is a right one.

In code, and in quotation marks where it has operands, it parses as it stands. Elsewhere a command
is only named, perhaps with an option: that command and that option exist.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tools.commands import parsers
from tools.parser import Parser

PARSERS = {parser.prog: parser for parser in parsers()}
TOOLS = {prog.split()[0] for prog in PARSERS}
PAGES = sorted(
    path
    for place in (".", "docs", "pam.d-examples")
    for path in (CHECKOUT / place).glob("*.md")
)  # fmt: skip
#: Plain text: its code is what is indented by so much.
DEBIAN = CHECKOUT / "packaging/debian/pam-ukey.README.Debian"
CATALOGUES = sorted(CHECKOUT.glob("data/locale/*.po"))
MANUALS = sorted(CHECKOUT.glob("data/man/*.in"))

_FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {7,}(\S.*)$", re.MULTILINE)
_TOOL = rf"(?:{'|'.join(sorted(TOOLS))})\b"
#: What begins and ends a quotation, by the kind of document.
_MARKS = {".md": ("`", "`"), ".Debian": ('"', '"'), ".po": ("['“]", "['”]"), ".in": (r"^\.B ", "$")}
#: What may be left out of a synopsis.
_OPTIONAL = re.compile(r"\[[^][]*\]")
_PROMPT = re.compile(r"^(?:[$#] )?(?:sudo )?")
_OPERATOR = re.compile(r" (?:\||>|&&|\|\|)|;")
#: In Chinese, what stands for an operand.
_SUBCOMMAND = ("子命令", "SUBCOMMAND")


def code(path: Path) -> Iterator[str]:
    """Lines that are to be typed."""
    text = path.read_text()
    blocks = _INDENTED.findall(text) if path == DEBIAN else _FENCE.findall(text)
    for line in "\n".join(blocks).replace("\\\n", "").splitlines():
        line = _OPERATOR.split(_PROMPT.sub("", line.strip()))[0]
        if re.match(rf"{_TOOL}(?: |$)", line):
            yield _OPTIONAL.sub("", line)


def quoted(path: Path) -> Iterator[str]:
    """What stands in quotation marks, backticks or bold in running text."""
    text = _FENCE.sub("", path.read_text()).replace(r"\-", "-")
    begin, end = _MARKS[path.suffix]
    inside = r"[^`'\"“”]*?" if path.suffix != ".in" else ".*"
    quotation = re.compile(rf"{begin}(?:sudo )?({_TOOL}{inside}){end}", re.MULTILINE)
    for found in quotation.findall(text):
        line = " ".join(_OPERATOR.split(found)[0].split())
        if re.match(rf"{_TOOL}(?: |$)", line) and not any(word in line for word in _SUBCOMMAND):
            yield _OPTIONAL.sub("", line)


def command_of(line: str) -> tuple[Parser, list[str]]:
    """The parser of its command or subcommand, and the words behind that."""
    words = shlex.split(line, comments=True)
    count = max(n for n in range(1, 4) if " ".join(words[:n]) in PARSERS)
    return PARSERS[" ".join(words[:count])], words[count:]


def wrong(line: str) -> str:
    """What the tool's parser says against a command line; nothing where it takes it."""
    parser, words = command_of(line)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse_args(words)
        except SystemExit as end:  # --help ends with 0
            return said.getvalue() if end.code else ""
    return ""


def misnamed(line: str) -> str:
    """What is wrong with a command that a text only names; see the module."""
    parser, words = command_of(line)
    if all(word.startswith("-") for word in words):
        unknown = [word for word in words if word not in parser._option_string_actions]
        return f"{parser.prog} has no {unknown}" if unknown else ""
    return wrong(line)


@pytest.mark.parametrize("path", [*PAGES, DEBIAN], ids=lambda path: path.name)
def test_commands_to_be_typed_are_right(path: Path) -> None:
    assert [said for line in code(path) if (said := wrong(line))] == []


@pytest.mark.parametrize(
    "path", [*PAGES, DEBIAN, *CATALOGUES, *MANUALS], ids=lambda path: path.name
)
def test_commands_that_are_named_exist(path: Path) -> None:
    assert [said for line in quoted(path) if (said := misnamed(line))] == []


def test_there_are_commands() -> None:
    """All tools, in code and in texts; of each kind of document, too."""
    typed = {line.split()[0] for path in PAGES for line in code(path)}
    assert typed == TOOLS
    assert set(code(DEBIAN)) >= {"getpubkey alice"}
    assert set(quoted(DEBIAN)) >= {"ukey bindings --missing", "ukey pam check"}
    for paths in (PAGES, CATALOGUES, MANUALS):
        assert any(" " in line for path in paths for line in quoted(path)), paths


@pytest.mark.parametrize(
    "line",
    [
        "ukey pam try alice",
        "ukey lost",
        "ukey pam lost",
        "getpubkey alice --key 1",
        "ukey throttle SERIAL",
    ],
)
def test_a_wrong_command_is_found(line: str) -> None:
    assert wrong(line)
    assert misnamed(line)
