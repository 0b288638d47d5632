# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What ``docs/troubleshooting.md`` says that a login says is what the service says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "troubleshooting.md"
SOURCES = (
    CHECKOUT / "keyservice/access/messages.py",
    CHECKOUT / "keyservice/core/reasons.py",
    *(CHECKOUT / "keyservice/core/errors").glob("*.py"),
)
_SECTION = DOCUMENT.read_text().split("## The login says …")[1].split("\n## ")[0]
#: What is quoted in the first column, sentence by sentence.
QUOTED = [
    sentence.strip(" …")
    for row in re.findall(r"^\| ([^|]+) \|", _SECTION, re.MULTILINE)
    for quotation in re.findall(r'"([^"]+)"', row)
    for sentence in re.split(r"(?<=\.) ", quotation)
]


def said(paths: Iterable[Path]) -> str:
    """Every text of the modules, numbers as they are filled in."""
    texts = [
        node.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return re.sub(r"\{(left|seconds)\}", "4", "\n".join(texts))


@pytest.mark.parametrize("sentence", QUOTED)
def test_a_quoted_text_is_one_of_the_service(sentence: str) -> None:
    assert sentence in said(SOURCES)


def test_what_getpubkey_says_in_the_end_is_what_the_page_says() -> None:
    page = (CHECKOUT / "docs/enrol.md").read_text()
    (shown,) = re.findall(r"`(Ukey SERIAL is [^`]*)`", page)
    assert shown.replace("SERIAL", "{serial}").replace("alice", "{user}") in said(SOURCES)


def test_a_key_s_fingerprint_has_one_name() -> None:
    for document in sorted((CHECKOUT / "docs").glob("*.md")):
        assert not re.search(
            r"key's\s+digest|digest\s+of\s+the\s+(public )?key", document.read_text()
        )


@pytest.mark.parametrize("catalogue", ["tools.zh_CN.po", "zh_CN.po"])
def test_no_text_speaks_of_whoever(catalogue: str) -> None:
    """It has to be read twice: who it is comes after what they do."""
    texts = (CHECKOUT / "data/locale" / catalogue).read_text()
    assert not re.findall(r"[^\n]*\bwhoever\b[^\n]*", texts, re.IGNORECASE)


def test_there_are_quotations() -> None:
    assert len(QUOTED) > 10
