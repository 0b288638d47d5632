# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The language of the texts, and that nothing else decides it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from keyservice.contract.i18n import Language, catalogue, language, translation


@pytest.mark.parametrize(
    "locale",
    ["zh_CN.UTF-8", "zh_CN.utf8", "zh_CN.UTF8", "zh_SG.UTF-8", "zh.UTF-8", "zh_CN.UTF-8@pinyin"],
)
def test_chinese_for_simplified_chinese_in_utf8(locale: str) -> None:
    assert language(locale) is Language.CHINESE
    assert language(locale, "pts/3") is Language.CHINESE
    assert language(locale, "ssh") is Language.CHINESE
    assert language(locale, ":0") is Language.CHINESE


@pytest.mark.parametrize(
    "locale",
    [
        "",
        "C",
        "C.UTF-8",
        "POSIX",
        "en_GB.UTF-8",
        "zh_CN",
        "zh_CN.GB18030",
        "zh_TW.UTF-8",
        "zh_HK.UTF-8",
        "ZH_CN.UTF-8",
        "zh_CN.UTF-8\n",
        "../../zh_CN.UTF-8",
        "zh_CN/../../../tmp.UTF-8",
        "zh_CN.UTF-8:en",
        "x" * 5000,
    ],
)
def test_english_for_all_else(locale: str) -> None:
    assert language(locale) is Language.ENGLISH


@pytest.mark.parametrize("tty", ["tty1", "/dev/tty2", "tty", "console", "ttyS0", "hvc0"])
def test_english_where_chinese_cannot_be_shown(tty: str) -> None:
    assert language("zh_CN.UTF-8", tty) is Language.ENGLISH


def test_the_environment_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG", "LOCPATH", "TEXTDOMAINDIR"):
        monkeypatch.setenv(name, "zh_CN.UTF-8")
    assert translation("en_GB.UTF-8").gettext("PIN") == "PIN"
    assert catalogue(Language.ENGLISH, str(tmp_path)).gettext("PIN") == "PIN"


def _compiled(texts: dict[str, str]) -> bytes:
    """A GNU .mo file."""
    texts = {"": "Content-Type: text/plain; charset=UTF-8\n", **texts}
    pairs = sorted((key.encode(), value.encode()) for key, value in texts.items())
    at, blob = 28 + 16 * len(pairs), b""
    tables: tuple[list[bytes], list[bytes]] = ([], [])
    for pair in pairs:
        for table, text in zip(tables, pair, strict=True):
            table.append(struct.pack("<II", len(text), at + len(blob)))
            blob += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(tables[0]) + b"".join(tables[1]) + blob


def test_a_catalogue_is_used_and_a_bad_one_is_english(tmp_path: Path) -> None:
    for number, content in enumerate(
        [
            _compiled({"PIN": "口令"}),
            b"",
            b"\xde\x12\x04\x95",
            b"x" * 100,
            _compiled({"PIN": "x"})[:60],
        ]
    ):
        folder = tmp_path / str(number) / "zh_CN/LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "ukey.mo").write_bytes(content)
        said = catalogue(Language.CHINESE, str(tmp_path / str(number))).gettext("PIN")
        assert said == ("口令" if number == 0 else "PIN")
    assert catalogue(Language.CHINESE, str(tmp_path / "none")).gettext("PIN") == "PIN"
