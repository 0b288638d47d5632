# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The person's language, and its texts.

The locale is the first of ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` that is set. The language that
this gives on this terminal goes to the keyservice as a wish, so that the service and the command
speak one language.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache

from keyservice.contract import i18n, names
from keyservice.core import reasons
from keyservice.core.marks import N_ as N_


@cache
def language() -> i18n.Language:
    """The language of the person at this terminal."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return i18n.language(locale, terminal_name())


def terminal_name() -> str:
    """The terminal's device, such as ``/dev/pts/3``; empty without one."""
    for descriptor in (2, 0):
        with suppress(OSError):
            return os.ttyname(descriptor)
    return ""


def wish() -> str:
    """The locale's name that the keyservice is sent."""
    return "en" if language() is i18n.Language.ENGLISH else f"{language()}.UTF-8"


def _(text: str) -> str:
    """`text` in the person's language."""
    return _texts().gettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    """The form of the text that `count` asks for, in the person's language."""
    return _texts().ngettext(one, many, count)


_spoken: gettext.NullTranslations | None = None


def _texts() -> gettext.NullTranslations:
    return i18n.catalogue(language()) if _spoken is None else _spoken


@contextmanager
def speaking(texts: gettext.NullTranslations) -> Iterator[None]:
    """In the block, all texts are from `texts`: manual pages are made in each language, on any
    machine."""
    global _spoken
    before, _spoken = _spoken, texts
    try:
        yield
    finally:
        _spoken = before


def why(facts: Mapping[str, object]) -> str:
    """The reason that `facts` hold (``core.reasons``), in the person's language."""
    return reasons.told(str(facts.get(reasons.WHY, "?")), facts, _)


def reason(error: OSError | int) -> str:
    """The system's text for an error, in the person's language. A number is one of errno(3)."""
    if isinstance(error, int):
        error = OSError(error, "")
    return str(error) if error.errno is None else reasons.told(reasons.system(error), {}, _)


def adopt() -> None:
    """Let argparse, which asks the standard library's own gettext, speak the same language."""
    os.environ["LANGUAGE"] = language()
    gettext.bindtextdomain(names.TEXT_DOMAIN, names.LOCALE_DIR)
    gettext.textdomain(names.TEXT_DOMAIN)
