# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""All commands, for whatever is made of each: manual pages, completions, tests."""

from __future__ import annotations

from . import chpinpw, getpubkey, rmpubkey, ukey
from .parser import Parser


def parsers() -> list[Parser]:
    """A parser for each command and each subcommand; ``prog`` is what a person types."""
    return [getpubkey.parser(), rmpubkey.parser(), chpinpw.parser(), *ukey.GROUP.parsers()]
