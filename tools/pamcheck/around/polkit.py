# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""polkit's rules that say yes: it asks PAM only where they say ``auth_…``.

The rules are programs in JavaScript. This sees which of them say yes; people have to read to whom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .system import System

#: The administrator's; those of the distribution come with its packages.
_RULES = (
    "/etc/polkit-1/rules.d/*.rules",
    "/run/polkit-1/rules.d/*.rules",
    "/usr/local/share/polkit-1/rules.d/*.rules",
    "/usr/share/polkit-1/rules.d/*.rules",
)
_AUTHORITIES = (
    "/etc/polkit-1/localauthority/*/*.pkla",
    "/var/lib/polkit-1/localauthority/*/*.pkla",
)
_YES = re.compile(r"polkit\.Result\.YES\b|return\s+[\"']yes[\"']")
_PKLA = re.compile(r"Result(Any|Inactive|Active)\s*=\s*yes\b")
_COMMENT = re.compile(r"^\s*(//|\*|/\*)")


def look(system: System) -> Iterator[Finding]:
    for patterns, expression in ((_RULES, _YES), (_AUTHORITIES, _PKLA)):
        for pattern in patterns:
            for file in system.glob(pattern):
                for number, line in system.lines(file):
                    if expression.search(line) and not _COMMENT.match(line):
                        yield Finding(
                            "polkit-says-yes",
                            Severity.NOTE,
                            f"{file}:{number}",
                            _("A rule of polkit says yes without asking anybody for anything."),
                            _("read to whom, and for which actions; AUTH_ADMIN asks PAM"),
                        )
