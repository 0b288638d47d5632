# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Widths, cuts and line breaks, character by character."""

from __future__ import annotations

import contextlib
import io
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.output import cut, emit, pad, printable, width, wrap


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("密码", 4),
        ("e\u0301", 1),
        ("ﾊﾟ", 2),
        ("，", 2),
        ("…", 1),
        ("\u200d", 0),
    ],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns
    assert width(pad(text, 9)) == 9


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("密码锁定", 5, "密码…"), ("密码", 3, "密…")],
)
def test_cut(text: str, columns: int, expected: str) -> None:
    assert cut(text, columns) == expected


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 13, ["one two three"]),
        ("a-very-long-word b", 4, ["a-very-long-word", "b"]),
        ("密码已经锁定", 6, ["密码已", "经锁定"]),
        # a closing mark does not begin a line: its character comes down with it
        ("密码已，锁", 6, ["密码", "已，锁"]),
        ("密码（已", 6, ["密码", "（已"]),
        ("用 ukey 登录", 6, ["用", "ukey", "登录"]),
        ("", 6, [""]),
    ],
)
def test_wrap(text: str, columns: int, expected: list[str]) -> None:
    assert wrap(text, columns) == expected


@settings(database=None)
@given(st.text(alphabet="ab 密码，。（）x", max_size=60), st.integers(4, 30))
def test_wrap_loses_nothing_and_fits(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines[1:]:
        assert not line.startswith(("，", "。", "）"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2J", "a\\x1b[2J"),
        ("\x9b", "\\x9b"),
        ("\u202e\u2066", "\\u202e\\u2066"),
        ("\u2028", "\\u2028"),
        ("密码 é", "密码 é"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_printable_keeps_line_feeds_only_where_they_are_wanted() -> None:
    assert printable("a\nb") == "a\\nb"
    assert printable("a\nb\r", lines=True) == "a\nb\\r"


@settings(database=None)
@given(st.text(max_size=40))
def test_nothing_printable_steers_a_terminal(text: str) -> None:
    shown = printable(text)
    assert all(unicodedata.category(char)[0] != "C" for char in shown)
    assert len(shown.splitlines()) <= 1


@settings(database=None)
@given(st.text(max_size=40), st.sampled_from(["utf-8", "ascii"]))
def test_no_json_steers_a_terminal_and_all_of_it_is_read_back(text: str, encoding: str) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding, "strict")
    with contextlib.redirect_stdout(screen):
        emit({text: [text, "密码"]})
    assert isinstance(screen.buffer, io.BytesIO)
    shown = screen.buffer.getvalue().decode(encoding).removesuffix("\n")
    assert all(unicodedata.category(char)[0] != "C" for char in shown)
    assert len(shown.splitlines()) == 1
    assert json.loads(shown) == {text: [text, "密码"]}
    assert ("密码" in shown) is (encoding == "utf-8")
