# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The floors of the architecture hold, and the check that says so sees a breach."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.static.floors import imports, violations
from tests.support import CHECKOUT


def test_imports_go_down_only() -> None:
    found = violations(CHECKOUT)
    assert not found, "\n".join(found)


def test_every_part_is_looked_at() -> None:
    importers = {found.importer for found in imports(CHECKOUT, ("keyservice", "tools", "pam_ukey"))}
    for module in ("keyservice.access.session", "keyservice.servers.bus", "tools.getpubkey"):
        assert module in importers


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("keyservice/core/secret.py", "import keyservice.store.bindings"),
        ("keyservice/core/secret.py", "import cryptography"),
        ("keyservice/store/bindings.py", "from keyservice.ukeys.base import Ukey"),
        ("keyservice/store/bindings.py", "from ..ukeys import base"),
        ("keyservice/store/__init__.py", "from ..ukeys import base"),
        ("keyservice/ukeys/gmt0017/ukey.py", "from keyservice.store import bindings"),
        ("keyservice/access/policy.py", "from keyservice.transport import apdu"),
        ("keyservice/access/policy.py", "from keyservice import config"),
        ("keyservice/access/policy.py", "def late():\n    from keyservice.servers import bus"),
        ("keyservice/servers/sockets.py", "from dbus_fast import Message"),
        ("keyservice/servers/sockets.py", "from keyservice.store import bindings"),
        ("keyservice/ukeys/gmt0017/ukey.py", "import smartcard.System"),
        ("keyservice/client/session.py", "from keyservice.crypto import sm2"),
        ("keyservice/core/errors/pins.py", "from keyservice.contract import names"),
        ("tools/getpubkey.py", "from keyservice.access import policy"),
        ("pam_ukey/conversation.py", "from keyservice.core import username"),
        ("tests/softkey/card.py", "from keyservice.contract import names"),
    ],
)
def test_a_breach_is_seen(tmp_path: Path, path: str, line: str) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True)
    target.write_text("import os\n")
    assert violations(tmp_path) == []
    target.write_text(line + "\n")
    [told] = violations(tmp_path)
    assert told.startswith(f"{path}:")
