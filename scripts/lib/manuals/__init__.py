# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Manual pages: of the commands, from what their ``--help`` is made from, in every language; of the
module, the service and the files, from ``data/man`` and the tables that the code or docs have.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from keyservice import __version__
from keyservice.contract import i18n
from tools.commands import parsers
from tools.language import speaking

from .commands import Commands
from .files import pages_of_files

DIRECTORY = "usr/share/man"
LOCALES = "usr/share/locale"


def write(checkout: Path, staged: Path) -> None:
    """Write every page below `staged`, where the catalogues are already."""
    date, source = build_date(), f"pam-ukey {__version__}"
    for language in i18n.Language:
        with speaking(i18n.catalogue(language, str(staged / LOCALES))):
            pages = Commands(parsers(), date=date, source=source).pages()
        if language is i18n.Language.ENGLISH:
            _write(staged / DIRECTORY, pages | pages_of_files(checkout, date=date, source=source))
        else:
            _write(staged / DIRECTORY / language, pages)


def build_date() -> str:
    """The day that the pages bear: reproducible-builds.org's, or today."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _write(directory: Path, pages: dict[str, str]) -> None:
    for name, text in pages.items():
        path = directory / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
