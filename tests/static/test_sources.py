# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Every file keeps the rules that a reader relies on, and each rule's check sees a breach."""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.static.sources import LONGEST, faults, files, is_code
from tests.support import CHECKOUT

LICENCE = "# SPDX-License-Identifier: Apache-2.0\n# Copyright the pam-ukey authors\n"


def test_files_keep_the_rules() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}: {fault}"
        for path in files(CHECKOUT)
        for fault in faults(path)
    ]
    assert not found, "\n".join(found)


def test_the_files_are_looked_at() -> None:
    seen = {str(path.relative_to(CHECKOUT)) for path in files(CHECKOUT)}
    assert {"README.md", "scripts/sandbox", ".ci/run", "pam_ukey/native/pam_ukey.c"} <= seen
    assert is_code(CHECKOUT / "scripts/sandbox")
    assert not is_code(CHECKOUT / "README.md")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "import os\n"),
        ("script", "#!/bin/sh\ntrue\n"),
        ("a.py", LICENCE + "x = 1"),
        ("a.py", LICENCE + "x = 1 \n"),
        ("a.py", LICENCE + "# TO" + "DO: later\n"),
        ("a.md", "run /home/" + "jo/checkout/scripts/test\n"),
        ("a.c", "/*" + LICENCE + "*/\n" + "int x;\n" * LONGEST),
    ],
)
def test_a_breach_is_seen(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert len(list(faults(path))) == 1


def of_kind(*patterns: str) -> list[Path]:
    return [path for path in files(CHECKOUT) if any(path.match(pattern) for pattern in patterns)]


@pytest.mark.parametrize("path", of_kind("*.svg", "*.xml", "data/dbus/*.conf"), ids=str)
def test_xml_is_well_formed(path: Path) -> None:
    ElementTree.parse(path)


@pytest.mark.parametrize("path", of_kind("*.toml"), ids=str)
def test_toml_is_valid(path: Path) -> None:
    tomllib.loads(path.read_text())
