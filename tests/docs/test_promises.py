# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Each section of ``docs/security.md`` names tests that show its promises, and they are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import CHECKOUT

DOCUMENT = CHECKOUT / "docs/security.md"
#: The section that has the list, and the one that promises nothing.
LIST, NOTHING = "What shows it", "Not defended"
_TEST = re.compile(r"tests/[\w/]+\.py(?:::\w+)+")
_PATH = re.compile(r"`(tests/[\w/.]+)")


def sections(text: str) -> dict[str, str]:
    """The text under each heading."""
    parts = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def promises(text: str) -> dict[str, list[str]]:
    """The lines of the list, by the section that each is for."""
    parts = re.split(r"^\*\*\[(.+?)\]\(#.+?\)\*\*$", sections(text)[LIST], flags=re.MULTILINE)
    return {
        title: [" ".join(line.split()) for line in re.split(r"^- ", part, flags=re.MULTILINE)[1:]]
        for title, part in zip(parts[1::2], parts[2::2], strict=True)
    }


@cache
def named_in(path: Path) -> frozenset[str]:
    """The tests of a module that run somewhere, as pytest names them behind the path."""
    if not path.is_file():
        return frozenset()
    return frozenset(_tests(ast.parse(path.read_text()).body))


def _tests(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, f"{prefix}::{node.name}")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            marks = {_name_of(each) for each in node.decorator_list}
            if not marks & {"pytest.mark.skip", "pytest.mark.xfail"}:
                yield f"{prefix}::{node.name}"


def _name_of(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def faults(text: str) -> Iterator[str]:
    """What is wrong with the list."""
    listed, wanted = promises(text), sections(text).keys() - {LIST, NOTHING}
    for title in wanted ^ listed.keys():
        yield f"{title}: " + ("names no test" if title in wanted else "is no section")
    for title, lines in listed.items():
        if not lines:
            yield f"{title}: names no test"
        for line in lines:
            named = _TEST.findall(line)
            if not named:
                yield f"{title}: {line}: names no test"
            for name in named:
                path, separator, rest = name.partition("::")
                if separator + rest not in named_in(CHECKOUT / path):
                    yield f"{title}: there is no {name}"


def test_every_promise_names_tests_that_are_there() -> None:
    assert list(faults(DOCUMENT.read_text())) == []


def test_order_is_that_of_the_document() -> None:
    text = DOCUMENT.read_text()
    assert list(promises(text)) == [each for each in sections(text) if each not in (LIST, NOTHING)]


@pytest.mark.parametrize(
    "document", sorted(CHECKOUT.glob("**/*.md")), ids=lambda path: str(path.relative_to(CHECKOUT))
)
def test_what_else_is_said_of_tests_names_what_is_there(document: Path) -> None:
    for path in _PATH.findall(document.read_text()):
        assert (CHECKOUT / path).exists(), path


_ONE = "tests/access/test_challenge.py::test_the_layout"
_OTHER = "tests/pam/test_pam_answers.py::TestThePassword::test_is_never_sent"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (_ONE, _ONE + "_of_old"),
        (_ONE, _ONE.replace("challenge", "challenges")),
        (_OTHER, _OTHER.replace("TestThePassword::", "")),
        (_OTHER, _OTHER.replace("ThePassword", "TheWord")),
        (f"`{_ONE}`", "a test"),
        ("**[Revocation](#revocation)**\n", ""),
        ("**[Revocation]", "**[Revocations]"),
        ("\n## Not defended\n", "\n## A new section\n\nIt promises.\n\n## Not defended\n"),
    ],
)
def test_a_fault_is_found(old: str, new: str) -> None:
    text = "".join(
        line
        for line in DOCUMENT.read_text().splitlines(keepends=True)
        if "test_every_fact_counts" not in line  # so that one of the lines names one test alone
    )
    assert old in text
    assert list(faults(text.replace(old, new)))
