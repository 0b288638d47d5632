# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""One thing that is wrong with a host's logins: what, where, and the line to change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. The values are an interface of ``--json``."""

    OPEN = "open"  #: somebody gets in without both factors
    SHUT = "shut"  #: somebody who has both does not get in
    TELLS = "tells"  #: an attacker learns something, such as which factor failed
    NOTE = "note"  #: true, perhaps meant, worth knowing


@dataclass(frozen=True)
class Finding:
    """A finding; its texts are translated already.

    `kind` is its stable name in ``--json``, in kebab case, such as ``password-alone``. `place` is
    ``FILE:LINE``, a file, or a program's setting; `remedy` the line to write, or what to do.
    `line` is a line to write there, or to run in a shell, word by word; it is shown in one piece.
    """

    kind: str
    severity: Severity
    place: str
    text: str
    remedy: str
    line: str = ""
