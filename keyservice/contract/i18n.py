# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Texts for people in the languages that are shipped: English and Simplified Chinese.

The language follows from a locale's name that the caller hands over, never from this process's
environment: the service speaks to many people at once, and a PAM module runs in somebody else's
environment. The name is matched against the languages that are shipped; no path is ever built
from it.
"""

from __future__ import annotations

import gettext
import re
import struct
from enum import StrEnum
from functools import cache
from pathlib import Path

from .names import LOCALE_DIR, TEXT_DOMAIN


class Language(StrEnum):
    """What is shipped. The value is the catalogue's folder below ``LOCALE_DIR``."""

    ENGLISH = "en"
    CHINESE = "zh_CN"


#: POSIX: language[_territory][.charset][@modifier]
_LOCALE = re.compile(r"([a-z]{2,3})(?:_([A-Z]{2}))?(?:\.([A-Za-z0-9_-]{1,32}))?(?:@[\w=-]{1,32})?")
_UTF8 = frozenset({"utf8", "utf-8"})
#: Where Chinese is written in simplified characters; None for a bare ``zh.UTF-8``.
_SIMPLIFIED = frozenset({None, "CN", "SG"})
#: A Linux text console, as PAM_TTY or ttyname() names it. It has no Chinese characters.
_CONSOLE = re.compile(r"(?:/dev/)?(?:tty[0-9]*|console|tty(?:S|AMA|USB)[0-9]+|hvc[0-9]+)")


def language(locale: str, tty: str = "") -> Language:
    """The language for `locale`, a POSIX name such as ``zh_CN.UTF-8``, on the terminal `tty`.

    English wherever Chinese might be unreadable: in a locale that does not say UTF-8, on a Linux
    text console or a serial line, and for any name that is not understood.
    """
    match = _LOCALE.fullmatch(locale)
    if match is None or _CONSOLE.fullmatch(tty):
        return Language.ENGLISH
    tongue, territory, charset = match.groups()
    if tongue == "zh" and territory in _SIMPLIFIED and (charset or "").lower() in _UTF8:
        return Language.CHINESE
    return Language.ENGLISH


@cache
def catalogue(wanted: Language, directory: str = LOCALE_DIR) -> gettext.NullTranslations:
    """The texts of `wanted`: ``.gettext(text)`` and ``.ngettext(one, many, count)``.

    Read once. A catalogue that is missing or damaged is English: a login must not fail for it.
    """
    if wanted is Language.ENGLISH:
        return gettext.NullTranslations()
    path = Path(directory, wanted.value, "LC_MESSAGES", f"{TEXT_DOMAIN}.mo")
    try:
        with path.open("rb") as file:
            return gettext.GNUTranslations(file)
    except (OSError, ValueError, LookupError, struct.error):
        return gettext.NullTranslations()


def translation(locale: str, tty: str = "") -> gettext.NullTranslations:
    """``catalogue(language(locale, tty))``: what most callers want."""
    return catalogue(language(locale, tty))
