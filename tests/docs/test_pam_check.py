# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What documents show of pam check is what it prints, and every kind of finding is explained."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.terminal import Terminal
from tools.pamcheck.lines import Fault
from tools.pamcheck.stack import Lost

DOCUMENT = CHECKOUT / "docs/pam-check.md"
_SHOWN = re.compile(
    r"^```console\n\$ cat (?P<file>[\w-]+)\n(?P<stack>.*?)"
    r"^\$ ukey pam check \./(?P=file)\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_KIND = re.compile(r"[a-z]+(?:-[a-z]+)*")
#: Where kinds are given.
_CALLS = {"Finding": 0, "_unknown": 0, "_opening": 1}


def shown() -> Iterator[re.Match[str]]:
    for document in (CHECKOUT / "README.md", DOCUMENT):
        yield from _SHOWN.finditer(document.read_text())


def test_there_is_something_shown() -> None:
    assert len(list(shown())) >= 2


@pytest.mark.parametrize("match", list(shown()), ids=lambda match: match["file"])
def test_what_is_shown_is_printed(tmp_path: Path, match: re.Match[str]) -> None:
    """All of it, as a person reads it on a terminal of 80 columns."""
    (tmp_path / match["file"]).write_text(match["stack"])
    terminal = Terminal()
    try:
        terminal.resize(24, 80)
        script = 'cd "$0" && exec /usr/bin/ukey pam check "$1"'
        terminal.start(["sh", "-c", script, tmp_path, f"./{match['file']}"])
        terminal.wait_end()
        assert terminal.screen.replace("\r\n", "\n") == match["output"]
    finally:
        terminal.close()


def kinds() -> set[str]:
    """Of every finding that is made in pam check itself."""
    found = {*map(str, Fault), *map(str, Lost)}
    for path in (CHECKOUT / "tools/pamcheck").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in _CALLS and len(node.args) > _CALLS[node.func.id]:
                for part in ast.walk(node.args[_CALLS[node.func.id]]):
                    if isinstance(part, ast.Constant) and _KIND.fullmatch(str(part.value)):
                        found.add(str(part.value))
    return found


def test_every_kind_is_explained() -> None:
    rows = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \|", DOCUMENT.read_text(), re.MULTILINE)
    explained = {kind for row in rows for kind in re.findall(r"`([\w-]+)`", row)}
    assert explained == kinds()
