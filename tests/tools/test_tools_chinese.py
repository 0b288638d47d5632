# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands in Simplified Chinese: every text is translated, and shown where it can be."""

from __future__ import annotations

import gettext
import io
import string
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.support import CHECKOUT
from tests.support.terminal import Terminal
from tests.tools.running import Commands
from tests.tools.scripted import LANG, Keyservice, prompt, verdict
from tests.tools.test_tools_help import HELPS
from tools.output import width

CATALOGUE = CHECKOUT / "data/locale/tools.zh_CN.po"
CHINESE = "zh_CN.UTF-8"
_XGETTEXT = ["xgettext", "--from-code=UTF-8", "-L", "Python", "-k", "-k_", "-kN_", "-kngettext:1,2"]


def test_every_text_is_translated(tmp_path: Path) -> None:
    """The catalogue has what xgettext finds, nothing empty, fuzzy or left over but argparse's."""
    places = (CHECKOUT / "tools", CHECKOUT / "scripts/lib/manuals")
    sources = sorted(path for place in places for path in place.rglob("*.py"))
    template = tmp_path / "tools.pot"
    subprocess.run(
        [*_XGETTEXT, "-o", template, *sources],
        check=True,
        timeout=30,
    )
    subprocess.run(["msgcmp", "--use-untranslated", CATALOGUE, template], check=True, timeout=30)
    for what in ("--untranslated", "--only-fuzzy"):
        found = subprocess.run(
            ["msgattrib", what, CATALOGUE], capture_output=True, check=True, timeout=30
        )
        assert found.stdout == b"", what


def test_placeholders_are_the_same_in_both_languages() -> None:
    built = subprocess.run(
        ["msgfmt", "-o", "-", CATALOGUE], capture_output=True, check=True, timeout=30
    ).stdout
    texts = gettext.GNUTranslations(io.BytesIO(built))
    for english, chinese in texts._catalog.items():  # type: ignore[attr-defined]
        if isinstance(english, str) and english and "%" not in english:
            names = {name for _, name, _, _ in string.Formatter().parse(english) if name}
            assert {n for _, n, _, _ in string.Formatter().parse(chinese) if n} == names, english


@pytest.mark.parametrize("command", HELPS, ids="-".join)
def test_help_is_chinese_and_fits(commands: Commands, command: list[str]) -> None:
    done = commands.piped(*command, "--help", environment={"LANG": CHINESE})
    assert done.returncode == 0
    assert "退出状态：" in done.stdout
    assert "示例：" in done.stdout
    for line in done.stdout.splitlines():
        assert width(line) <= 80, line
        assert not line.startswith(("，", "。", "；", "：", "）")), line


@pytest.mark.parametrize(
    ("variables", "chinese"),
    [
        ({"LANG": CHINESE}, True),
        ({"LANG": "C", "LC_MESSAGES": CHINESE}, True),
        ({"LANG": CHINESE, "LC_ALL": "en_US.UTF-8"}, False),
        ({"LANG": CHINESE, "LC_ALL": ""}, True),
        ({"LANG": "zh_CN.GB18030"}, False),
        ({"LANG": "../../../tmp/zh_CN.UTF-8"}, False),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh_CN"}, False),
    ],
)
def test_the_locale_is_the_first_that_is_set(
    commands: Commands, service: Keyservice, variables: dict[str, str], chinese: bool
) -> None:
    service.script(verdict("SUCCESS", ""))
    assert commands.piped("getpubkey", "alice", environment=variables).returncode == 0
    assert service.last().fields[LANG] == (CHINESE.encode() if chinese else b"en")
    done = commands.piped("ukey", "revocation", "undo", "x", user=65534, environment=variables)
    assert ("撤回吊销需要 root 权限。" in done.stderr) == chinese
    assert ("用法：" in commands.piped("ukey", "--help", environment=variables).stdout) == chinese


def test_a_chinese_conversation(commands: Commands, service: Keyservice) -> None:
    service.script(
        prompt("PIN 码："), verdict("MAXTRIES", "PIN 码错误次数太多。", "Throttled", serial="9F")
    )
    child = commands.on_terminal("getpubkey", "alice", LANG=CHINESE, NO_COLOR="1")
    child.expect_exact("PIN 码：")
    child.sendline("wrong-pin")
    child.expect(pexpect.EOF)
    child.close()
    assert str(child.before) == (
        "\r\nPIN 码错误次数太多。\r\n或以 root 身份结束等待：ukey throttle reset 9F\r\n"
    )
    assert child.exitstatus == 10


def test_why_the_keyservice_is_not_reached_is_chinese_too(commands: Commands) -> None:
    done = commands.piped("getpubkey", "alice", environment={"LANG": CHINESE})
    assert "无法连接 keyservice：无法连接 /run/ukey/root.sock：" in done.stderr


def test_what_cannot_be_asked_is_chinese_too(commands: Commands, service: Keyservice) -> None:
    done = commands.piped("getpubkey", "x" * 257, environment={"LANG": CHINESE})
    assert done.stderr == "user 的值超过 256 字节\n"


def test_a_linux_text_console_gets_english(commands: Commands) -> None:
    """It has no Chinese characters. /dev/tty1 is a terminal here that is bound over its name."""
    console = Terminal("tty1")
    try:
        console.start([commands.path("getpubkey"), "--help"], env={"LANG": CHINESE})
        console.converse([])
        assert "exit status:" in console.screen
    finally:
        console.close()
