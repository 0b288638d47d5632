# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which readers are used, which quirks hold, which text is shown."""

from __future__ import annotations

import pytest

from keyservice.core.text import is_plain, plain
from keyservice.ukeys.gmt0017.data import parse_names
from keyservice.ukeys.gmt0017.settings import ByteOrder, Quirks
from keyservice.ukeys.kind import Values
from keyservice.ukeys.quirks import QuirkRule, choose
from keyservice.ukeys.settings import ReaderSettings, can_fit, is_virtual
from keyservice.ukeys.text import is_name, is_serial


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (ReaderSettings(), {"Virtual PCD 00 00"}),
        (ReaderSettings(allow_virtual_readers=True), set()),
        (ReaderSettings(allow=("ACME*",)), {"Virtual PCD 00 00", "Other 00 00"}),
        (ReaderSettings(deny=("*Reader*",)), {"Virtual PCD 00 00", "ACME Reader 00 00"}),
        (ReaderSettings(allow=("ACME*",), deny=("ACME*",)), "all"),
        (ReaderSettings(allow=()), "all"),
        (ReaderSettings(allow=("acme*",)), "all"),
    ],
)
def test_readers_are_refused(settings: ReaderSettings, refused: object) -> None:
    readers = {"Virtual PCD 00 00", "ACME Reader 00 00", "Other 00 00"}
    told = {reader for reader in readers if settings.refuses(reader)}
    assert told == (readers if refused == "all" else refused)


@pytest.mark.parametrize(
    "name",
    [
        "Vendor [CCID Interface] 00 00",
        "Vendor [!a] [b-] 00 01",
        "What? * [x 00 00",
        "登录 ukey é 00 00",
        "odd \u202e name 00 00",
    ],
)
def test_a_name_that_is_shown_fits_itself_and_no_other(name: str) -> None:
    for given in (name, plain(name), f"{plain(name)[:-5]}*"):
        assert can_fit(given)
        assert ReaderSettings(deny=(given,)).refuses(name)
        assert not ReaderSettings(allow=(given,)).refuses(name)
        assert choose((QuirkRule(reader=given, values={"a": 1}),), name, "", "")
        assert not ReaderSettings(deny=(given,)).refuses("Other C 00 02")
    assert not choose((QuirkRule(serial="[1]", values={"a": 1}),), name, "", "2")


def test_a_set_of_characters_still_is_one() -> None:
    settings = ReaderSettings(deny=("ACME [A-C] *",))
    assert settings.refuses("ACME B 00 00")
    assert not settings.refuses("ACME D 00 00")


@pytest.mark.parametrize(
    ("pattern", "can"),
    [
        *((each, True) for each in ("*", "ACME*", "?* 0? 00", "*[0-9A]", "[!a]cme 00 00")),
        *((each, True) for each in ("*" * 500, "?" * 127, "[x 00 00", "[]] 00 00", "* *")),
        *((each, False) for each in ("", "ACME", "ACME 00", "* 00 0", "*[g-z]", "00 00")),
        *((each, False) for each in ("ACME 00 00 ", "* 0a 00", "?" * 128, "x" * 200 + "*")),
    ],
)
def test_it_is_known_which_patterns_can_fit_a_reader(pattern: str, can: bool) -> None:
    assert can_fit(pattern) == can


def test_emulated_readers_are_known_by_their_drivers_names() -> None:
    assert is_virtual("Virtual PCD 00 00")
    assert is_virtual("Virtual PCD 1 00 01")
    assert not is_virtual("Feitian ePass2003 00 00")


def test_the_first_rule_that_fits_chooses_the_quirks() -> None:
    big: Values = {"byte_order": "big"}
    odd: Values = {"name_length": 48}
    rules = (
        QuirkRule(reader="ACME*", serial="9*", values=big),
        QuirkRule(manufacturer="ACME", values=odd),
    )
    assert choose(rules, "ACME 00 00", "ACME", "91") is big
    assert choose(rules, "ACME 00 00", "ACME", "81") is odd
    assert choose(rules, "Other", "Acme", "91") == {}
    assert Quirks.of(big) == Quirks(byte_order=ByteOrder.BIG)
    assert Quirks.of({**odd, "another_kinds": "own"}) == Quirks(name_length=48)


def test_text() -> None:
    assert plain("a\x1b[1m\u202eb\ufffd字") == "a?[1m?b?字"
    assert is_plain("字 and é")
    assert not is_plain("\x7f")
    assert is_serial("A-1_x!~")
    assert not any(map(is_serial, ["", "a b", "x" * 33, "é", "\n"]))
    assert is_name("字" * 16)
    assert not any(map(is_name, ["", "字" * 17, "a\tb"]))


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", []),
        (b"\0", []),
        (b"\0\0", []),
        (b"a\0\0", ["a"]),
        (b"a\0bb\0\0", ["a", "bb"]),
        (b"a\0\xff\0b\0\0", ["a", "b"]),
        (b"a\0" + b"x" * 33 + b"\0\0", ["a"]),
    ],
)
def test_lists_of_names(data: bytes, names: list[str]) -> None:
    assert parse_names(data, 32) == names
