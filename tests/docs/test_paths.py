# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A path that an installed document names is on the host that it is installed on, or it is plain
why not."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

DOCUMENTS = Path("/usr/share/doc/pam-ukey")
_PATH = re.compile(
    r"(?<![\w./~-])/(?:bin|boot|dev|etc|lib|proc|root|run|sbin|sys|usr|var)/[\w./*@%+-]+"
)
#: Patterns → why a host may not have it.
ABSENT = {
    "made by what the text says": (
        "/etc/sudoers.d/rescue",
        "/etc/tmpfiles.d/00-ukey.conf",
        "/etc/usbkey/*",
        "/root/before-ukey*",
        "/var/backups/ukey*",
        "/var/lib/ukey/*",
        "/etc/nologin",
        "/etc/pam.d/SERVICE",
        "/etc/ssh/sshd_config.d/10-ukey.conf",
    ),
    "another distribution's, or of a program that a host may not have": (
        "/etc/at.allow",
        "/etc/cron.allow",
        "/etc/default/pcscd",
        "/etc/doas.conf",
        "/etc/gdm3*",
        "/etc/lightdm*",
        "/etc/pam.d/cockpit",
        "/etc/polkit-1/*",
        "/etc/sddm.conf*",
        "/etc/sudo.conf",
        "/usr/etc/*",
        "/usr/lib/pam.d*",
        "/usr/share/polkit-1/*",
        "/usr/share/selinux/*",
        "/var/log/auth.log",
        "/var/log/journal",
        "/var/log/secure",
        "/var/lib/systemd/linger*",
    ),
    "there while something runs": ("/dev/*", "/proc/*", "/run/*", "/sys/*"),
}
PATTERNS = tuple(pattern for patterns in ABSENT.values() for pattern in patterns)


def named() -> list[tuple[str, str]]:
    """(document, path) of each path that a document names."""
    found = set()
    for document in sorted(DOCUMENTS.rglob("*.md")):
        text = document.read_text()
        name = str(document.relative_to(DOCUMENTS))
        found |= {(name, path.rstrip("./").removesuffix("/.")) for path in _PATH.findall(text)}
    return sorted(found)


def test_paths_are_named() -> None:
    assert len(named()) > 50


@pytest.mark.parametrize("path", sorted({path for _, path in named()}))
def test_a_path_that_is_named_is_there(path: str) -> None:
    if any(fnmatchcase(path, pattern) for pattern in PATTERNS):
        return
    there = any(Path("/").glob(path.lstrip("/")))
    assert there, [document for document, name in named() if name == path]


def test_the_installed_readme_needs_no_sources() -> None:
    text = (DOCUMENTS / "README.md").read_text()
    assert "\n## Bind a first ukey\n" in text
    assert "scripts/demo" not in text
    assert "scripts/package" not in text


def test_links_of_installed_documents_lead_to_installed_ones() -> None:
    """A link to what the sources alone have is followed in vain."""
    link = re.compile(r"\]\(([^)\s#]+)[^)\s]*\)")
    for document in sorted(DOCUMENTS.rglob("*.md")):
        for target in link.findall(document.read_text()):
            assert "://" in target or (document.parent / target).exists(), (document, target)
