# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The manual pages that are installed here, as people read them and as they are written."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from tests.support.process import must

MANIFEST = Path("/usr/lib/ukey/manifest.json")
_PAGE = re.compile(r"usr/share/man/(?:(\w+)/)?man[1-9]/([\w.-]+)\.([1-9])")


@cache
def installed() -> dict[str, Path]:
    """``name.section`` → file; of a Chinese page ``zh_CN/name.section``."""
    found = {}
    for path in json.loads(MANIFEST.read_text())["files"]:
        match = _PAGE.fullmatch(path)
        if match:
            language, name, section = match.groups()
            found[f"{language + '/' if language else ''}{name}.{section}"] = Path("/", path)
    return found


def source(page: str) -> str:
    return installed()[page].read_text()


@cache
def read(page: str) -> str:
    """The page as it is read, on very long lines, every run of white space one space."""
    shown = must(["mandoc", "-T", "utf8", "-O", "width=1000", installed()[page]])
    text = re.sub(r".\x08", "", shown)
    return re.sub(r"\s+", " ", text)


def section(page: str, title: str) -> str:
    """The source below one heading."""
    text = source(page)
    match = re.search(rf'^\.SH "?{re.escape(title)}"?\n(.*?)(?=^\.SH|\Z)', text, re.M | re.S)
    assert match, f"{page} has no {title}"
    return match[1]


def tags(roff: str) -> list[str]:
    """The heads of the tagged paragraphs in `roff`, without fonts."""
    heads = re.findall(r"^\.TP.*\n(.+)", roff, re.M)
    plain = [re.sub(r"\\f[BIR]|^\.(?:BR|B|I) |\"", "", head) for head in heads]
    return [
        re.sub(r"\\(-|\()?(aq)?", lambda m: {"\\-": "-", "\\(aq": "'"}.get(m[0], " "), head)
        for head in plain
    ]
