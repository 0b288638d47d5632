# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The example stacks, read line by line, and rewritten with outcomes in place of modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.pam.libpam import Code
from tests.support import CHECKOUT

EXAMPLES = CHECKOUT / "pam.d-examples"
_LINE = re.compile(r"-?(?P<type>\w+)\s+(?P<control>\[[^]]*\]|\w+)\s+(?P<module>\S+)\s*(?P<args>.*)")


@dataclass(frozen=True)
class Line:
    """One line of a stack."""

    type: str
    control: str
    module: str
    args: str

    @property
    def role(self) -> str:
        """What the line is for; unique in a stack but for the two looks at the group."""
        name = self.module.removeprefix("pam_").removesuffix(".so")
        words = self.args.split()
        match name:
            case "faillock":
                return words[0]
            case "ukey":
                return "decoy" if "decoy" in words else "ukey"
            case "exec":
                return "gate"
            case "succeed_if":
                return "member" if "success=ignore" in self.control else "look"
        return name

    def __str__(self) -> str:
        return f"{self.type} {self.control} {self.module} {self.args}\n"


def examples() -> list[Path]:
    """Every file that goes into /etc/pam.d."""
    return sorted(
        path
        for path in EXAMPLES.glob("*/**/*")
        if path.is_file() and not {"pam-auth-update", "sshd_config.d"} & set(path.parts)
    )


def name_of(path: Path) -> str:
    return "-".join(path.relative_to(EXAMPLES).parts)


def auth_lines(text: str) -> list[Line]:
    """The auth lines of a stack's text, in order. Includes of other files have none here."""
    lines = []
    for raw in text.splitlines():
        if not raw.strip() or raw.startswith(("#", "@include common-")):
            continue
        match = _LINE.fullmatch(raw.strip())
        assert match, raw
        if match["type"] == "auth":
            lines.append(Line(**match.groupdict()))
    return lines


#: What a module's pam_setcred returns, as its source says; the others SUCCESS.
_SETCRED = {"member": Code.IGNORE, "look": Code.IGNORE, "gate": Code.IGNORE}


def with_outcomes(lines: list[Line], row_module: Path, outcomes: Mapping[str, Code | None]) -> str:
    """The stack with each module replaced by its outcome; None for a module that is missing."""
    out = []
    for line in lines:
        code = outcomes.get(line.role, Code.SUCCESS)
        if line.module in ("pam_permit.so", "pam_deny.so"):
            out.append(str(line))
        elif code is None:
            out.append(f"auth {line.control} /nowhere/{line.module}\n")
        else:
            cred = _SETCRED.get(line.role, Code.SUCCESS)
            out.append(f"auth {line.control} {row_module} {line.role} {int(code)} {int(cred)}\n")
    return "".join(out)
