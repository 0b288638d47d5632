# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Folders of a test's own that others can enter, and everybody's folder, which stays as it is."""

from __future__ import annotations

from pathlib import Path

TMP = Path("/tmp")
_TMP_MODE = 0o1777


def open_to_others(folder: Path) -> None:
    """Let others enter `folder`, which lies below /tmp, and each folder above it up to there."""
    for each in (folder, *folder.parents):
        if each == TMP:
            return
        each.chmod(each.stat().st_mode & 0o7777 | 0o055)
    raise ValueError(f"{folder} is not below {TMP}")


def mend_tmp() -> bool:
    """Whether somebody had taken /tmp from others; it is theirs again, for the next test."""
    taken = TMP.stat().st_mode & 0o7777 != _TMP_MODE
    if taken:
        TMP.chmod(_TMP_MODE)
    return taken
