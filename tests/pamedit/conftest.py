# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Hosts made of files, with Debian's stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pamcheck.hosts import Host
from tests.pamedit.debian import STACKS


@pytest.fixture
def debian(tmp_path: Path) -> Host:
    """Its modules are this host's, so that one that is taken out of a file's path is missing."""
    host = Host(tmp_path / "host")
    host.write(STACKS)
    for folder in ("lib", "usr"):
        (host.root / folder).symlink_to(f"/{folder}")
    return host
