# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Openers for :func:`open` that do not wait for a writer if a pipe is in a file's place."""

from __future__ import annotations

import os


def at_once(path: str, flags: int) -> int:
    """Open the file that is there, or that a link leads to: an administrator may have made one."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def at_once_no_link(path: str, flags: int) -> int:
    """Open the file that is there, but no link: for places where only a program that makes no
    links writes."""
    return at_once(path, flags | os.O_NOFOLLOW)
