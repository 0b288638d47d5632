# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The texts for people: complete in both languages, and nothing in them steers a terminal."""

from __future__ import annotations

import gettext
import io
import re
import shlex
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.access import messages, verdicts
from keyservice.access.conversation import Request
from keyservice.access.messages import Texts, ukey_name
from keyservice.access.settings import Rules
from keyservice.contract import operations
from keyservice.core import errors
from keyservice.core.codes import Code, ErrorName, Exit
from keyservice.core.errors import UkeyError
from tests.support import CHECKOUT

CATALOGUE = CHECKOUT / "data/locale/zh_CN.po"
_XGETTEXT = ["xgettext", "--from-code=UTF-8", "-L", "Python", "-k", "-k_", "-kN_", "-k_n:1,2"]


def kinds(base: type[UkeyError] = UkeyError) -> Iterator[type[UkeyError]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith(errors.__name__ + "."):
            yield kind
            yield from kinds(kind)


def texts(*, login: bool = True, **fields: str) -> Texts:
    return Texts(Rules(), Request(operations.AUTHENTICATION, **fields), login=login)  # type: ignore[arg-type]


@pytest.fixture
def catalogue() -> gettext.GNUTranslations:
    built = subprocess.run(
        ["msgfmt", "--check", "-o", "-", CATALOGUE], capture_output=True, check=True, timeout=30
    )
    return gettext.GNUTranslations(io.BytesIO(built.stdout))


@pytest.fixture
def chinese(catalogue: gettext.GNUTranslations, monkeypatch: pytest.MonkeyPatch) -> Texts:
    monkeypatch.setattr(messages, "translation", lambda locale, tty: catalogue)
    return texts(login=False)


def test_every_text_is_translated(tmp_path: Path) -> None:
    template = tmp_path / "keyservice.pot"
    sources = sorted((CHECKOUT / "keyservice").rglob("*.py"))
    subprocess.run([*_XGETTEXT, "-o", template, *sources], check=True, timeout=30)
    subprocess.run(["msgcmp", CATALOGUE, template], check=True, timeout=30)
    done = subprocess.run(
        ["msgcmp", template, CATALOGUE, "--use-untranslated"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr  # no text that is no longer used


def test_placeholders_are_the_same_in_both_languages(
    catalogue: gettext.GNUTranslations,
) -> None:
    for english, translated in catalogue._catalog.items():  # type: ignore[attr-defined]
        source = english[0] if isinstance(english, tuple) else english
        names = {name for _, name, _, _ in string.Formatter().parse(source) if name}
        if source:
            assert {n for _, n, _, _ in string.Formatter().parse(translated) if n} == names


@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.__name__)
def test_every_error_has_a_text_and_a_code(kind: type[UkeyError]) -> None:
    assert kind.name is not ErrorName.FAILED
    assert kind.code not in (Code.SUCCESS, Code.IGNORE)
    assert kind.exit is not Exit.OK
    for login in (True, False):
        text = texts(login=login).error(kind(serial="SN1", user="alice"))
        assert text.endswith((".", "alice", "SN1", "?", "chpinpw"))
        # which end no session
        told = kind not in (errors.NoSession, errors.ConfigurationError)
        assert (text != texts().bug()) is told


def test_chinese(chinese: Texts) -> None:
    assert chinese.error(errors.PinWrong(left=3)) == "PIN 码错误。还剩 3 次机会。"
    assert chinese.error(errors.Throttled(seconds=60)) == "PIN 码错误次数太多。请等待 60 秒后重试。"
    refused = errors.NotAllowed("only root may do this for somebody else")
    assert chinese.error(refused) == "没有权限：只有 root 可以为他人这样做。"
    damaged = errors.RecordDamaged(path="/etc/usbkey/alice", why="mode", mode="0644")
    assert "它的权限是 0644，而不是 0600。" in chinese.error(damaged)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (2, "The PIN is wrong. 2 tries are left."),
        (1, "The PIN is wrong. 1 try is left."),
        (
            0,
            "The PIN is wrong. The PIN is locked. An administrator unblocks it with: chpinpw"
            " --unblock SN1",
        ),
    ],
)
def test_after_a_wrong_pin_the_tries_left_are_told_or_what_to_do(left: int, said: str) -> None:
    assert texts().error(errors.PinWrong(left=left, serial="SN1")) == said


def test_an_admin_pin_that_is_locked_by_a_wrong_one_is_told_as_such() -> None:
    said = texts().error(errors.AdminPinWrong(left=0, serial="SN1"))
    assert "replace the ukey" in said
    assert "0 tries" not in said


def test_the_language_is_the_callers_wish_or_the_configurations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str]] = []

    def translation(locale: str, tty: str) -> gettext.NullTranslations:
        asked.append((locale, tty))
        return gettext.NullTranslations()

    monkeypatch.setattr(messages, "translation", translation)
    request = Request(operations.AUTHENTICATION, lang="zh_CN.UTF-8", tty="tty1")
    Texts(Rules(), request, login=True)
    Texts(Rules(language="C"), request, login=True)
    assert asked == [("zh_CN.UTF-8", "tty1"), ("C", "tty1")]


@pytest.mark.parametrize("odd", ["\x1b[2J", "a\nb", "\x07", "\u202e", "\udcff", "{user}"])
def test_what_a_ukey_says_does_not_steer_a_terminal(odd: str) -> None:
    text = texts().insert([ukey_name(odd)])
    plain = "".join(c if c.isprintable() else "?" for c in odd)
    assert text == f"Insert ukey {shlex.quote(plain)}."
    assert texts().error(errors.UkeyAbsent(serial=odd)).isprintable()
    assert texts().pin_prompt(ukey_name("S", odd)).isprintable()
    assert len(texts().insert([ukey_name("x" * 10000)])) < 300


def test_a_wide_space_in_a_label_is_shown_as_it_is() -> None:
    """As everywhere else where a ukey's words are shown: it steers no terminal."""
    assert texts().ukeys_present([("SN1", "飞天\u3000一")]).endswith("  SN1  飞天\u3000一")


#: Commands that texts name, up to the filled-in part.
_COMMANDS = re.compile(
    r"\b(?:chpinpw --unblock|getpubkey|rmpubkey|ukey revocation undo) (?![A-Z-]).*|$", re.DOTALL
)


@pytest.mark.parametrize("login", [True, False])
@pytest.mark.parametrize("odd", ["1;reboot", "$(reboot)", "`reboot`", "a b", "DOM\\bob", "it's"])
def test_a_command_that_is_named_runs_nothing_else(odd: str, login: bool) -> None:
    """A ukey chooses its own serial, and root pastes the command."""
    said = texts(login=login)
    facts = dict.fromkeys(("serial", "user", "record_user", "key"), odd)
    named = [said.error(kind(**facts)) for kind in kinds()] + [said.revoked(odd, odd, odd)]
    commands = [found[0] for text in named if (found := _COMMANDS.search(text)) and found[0]]
    assert len(commands) >= 2
    for command in commands:
        assert f" {shlex.quote(odd)}" in command


def test_who_logs_in_is_not_told_of_files() -> None:
    error = errors.RecordDamaged(path="/etc/usbkey/alice", why="mode", mode="0644")
    assert "/etc" not in texts(login=True).error(error)
    assert "/etc/usbkey/alice" in texts(login=False).error(error)
    foreign = errors.RecordForeign(user="alice", uid=1, record_user="bob", record_uid=1)
    assert "bob" not in texts(login=True).error(foreign)


def test_a_verdict_carries_the_reason_that_its_text_tells() -> None:
    error = errors.RecordDamaged(path="/etc/usbkey/alice", why="shared", other="bob")
    told, hidden = (verdicts.of(error, texts(login=login)).detail for login in (False, True))
    assert told == {"path": "/etc/usbkey/alice", "why": "shared", "other": "bob"}
    assert hidden == {"path": "/etc/usbkey/alice"}


def test_a_text_of_a_device_worker_formats_nothing() -> None:
    for odd in ("{", "}{", "{0}", "{reader:>2000000000}", "{reader.__class__}", "{reader!r}"):
        shown = texts(login=False).error(errors.BadRequest(odd, reader="R"))
        assert shown == f"This cannot be done: {odd}."
