# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands that hold a session: what is shown, sent, printed and returned."""

from __future__ import annotations

import pytest
from conftest import Commands, only_json
from scripted import (
    APPLICATION,
    BIND,
    CHANGE_PIN,
    CONTAINER,
    FLAGS,
    LANG,
    SERIAL,
    UNBIND,
    UNBLOCK_PIN,
    USER,
    Gate,
    Keyservice,
    error,
    info,
    prompt,
    refused,
    verdict,
    wait,
)

PIN = "Canary-7361"
DONE = verdict("SUCCESS", "alice is bound to ukey 9F3A.", serial="9F3A")


def test_getpubkey_shows_asks_and_binds(commands: Commands, service: Keyservice) -> None:
    service.script(info("Ukey 9F3A is in reader 0."), prompt("PIN:"), DONE)
    child = commands.on_terminal("getpubkey", "alice")
    child.expect_exact("Ukey 9F3A is in reader 0.\r\nPIN: ")
    child.sendline(PIN)
    child.expect_exact("alice is bound to ukey 9F3A.")
    child.expect(pytest.importorskip("pexpect").EOF)
    assert PIN not in child.before
    child.close()
    assert child.exitstatus == 0
    held = service.last()
    assert held.kind == BIND
    assert held.fields[USER] == b"alice"
    assert held.fields[LANG] == b"en"
    assert held.answers == [PIN.encode()]
