# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Links and pictures of the documents lead somewhere, and every document can be found."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted([TOP / "README.md", *TOP.glob("docs/**/*.md"), *TOP.glob("pam.d-examples/*.md")])
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(TOP))


def links(document: Path) -> Iterator[str]:
    """Targets of links and pictures, outside code."""
    text = _CODE.sub("", _FENCE.sub("", document.read_text()))
    yield from _LINK.findall(text)


def anchors(document: Path) -> set[str]:
    """What a fragment may name: headings in lower case, spaces as hyphens, punctuation dropped."""
    text = _FENCE.sub("", document.read_text())
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def local(document: Path) -> Iterator[tuple[Path, str]]:
    """(file, fragment) of every link that stays in this repository."""
    for target in links(document):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, fragment = target.partition("#")
            yield (document.parent / path).resolve() if path else document, fragment


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for path, fragment in local(document):
        assert path.exists(), f"{name(document)} links to {path}, which is not there"
        if fragment and path.suffix == ".md":
            assert fragment in anchors(path), f"{name(path)} has no heading #{fragment}"


def test_every_document_is_reachable_from_the_readme() -> None:
    seen, todo = set[Path](), [TOP / "README.md"]
    while todo:
        document = todo.pop()
        if document not in seen and document.suffix == ".md" and document.exists():
            seen.add(document)
            todo.extend(path for path, _ in local(document))
    assert [name(path) for path in DOCUMENTS if path not in seen] == []


@pytest.mark.parametrize("picture", sorted(TOP.glob("docs/images/*")), ids=name)
def test_a_picture_is_shown_says_what_it_shows_and_stands_alone(picture: Path) -> None:
    """It has a title and a description for those who cannot see it, and loads nothing."""
    shown = {path for document in DOCUMENTS for path, _ in local(document)}
    assert picture in shown
    root = ElementTree.parse(picture).getroot()
    space = {"svg": "http://www.w3.org/2000/svg"}
    for part in ("title", "desc"):
        assert root.findtext(f"svg:{part}", namespaces=space)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script", picture.read_text())
