# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Programs that let root become anybody: worth knowing, nothing to mend."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.language import _

from ..finding import Finding, Severity
from .system import System

#: Those that give somebody else's shell.
PROGRAMS = ("su", "su-l", "runuser", "runuser-l")
_LINE = re.compile(r"-?auth\s.*\bpam_rootok(\.so)?\b")


def look(system: System) -> Iterator[Finding]:
    for file in map("/etc/pam.d/{}".format, PROGRAMS):
        for number, line in system.lines(file):
            if _LINE.match(line):
                text = _("Root becomes anybody by {service} without being asked (pam_rootok).")
                yield Finding(
                    "root-becomes-anybody",
                    Severity.NOTE,
                    f"{file}:{number}",
                    text.format(service=file.rpartition("/")[2]),
                    _("nothing: guard the ways to root"),
                )
