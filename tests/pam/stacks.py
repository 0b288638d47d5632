# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The example stacks, read line by line, and rewritten with outcomes in place of modules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from keyservice.contract.pam import PamCode
from tests.support import CHECKOUT

EXAMPLES = CHECKOUT / "pam.d-examples"
_LINE = re.compile(r"-?(?P<type>\w+)\s+(?P<control>\[[^]]*\]|\w+)\s+(?P<module>\S+)\s*(?P<args>.*)")
#: Roles of pam_ukey's lines, by a word of theirs.
_UKEYS = {"decoy": "decoy", "take_ssh_key": "take"}


@dataclass(frozen=True)
class Line:
    """One line of a stack."""

    type: str
    control: str
    module: str
    args: str
    #: Whether it stands before a decoy, which is the next line after a wrong password.
    wrong: bool = False

    @property
    def role(self) -> str:
        """The line's purpose; unique in a stack."""
        name = self.module.removeprefix("pam_").removesuffix(".so")
        words = self.args.split()
        match name:
            case "faillock":
                return words[0]
            case "ukey":
                return next((_UKEYS[word] for word in words if word in _UKEYS), "ukey")
            case "exec":
                return "mock" if "stdout" in words else "gate"
            case "succeed_if":
                return "look" if self.wrong else "member"
        return name

    @property
    def fixed(self) -> bool:
        """Whether its module always says the same; it is then run itself."""
        return self.module in ("pam_permit.so", "pam_deny.so")

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
            lines.append(Line(match["type"], match["control"], match["module"], match["args"]))
    decoys = [number for number, line in enumerate(lines) if line.role == "decoy"]
    for number in range(decoys[0] if decoys else 0):
        lines[number] = replace(lines[number], wrong=True)
    return lines


#: The value of a module's pam_setcred, by its source; for the other modules it is SUCCESS.
_SETCRED = dict.fromkeys(("member", "look", "gate", "mock"), PamCode.IGNORE)


@cache
def told(role: str, code: PamCode) -> str:
    """The words for pam_row.so: the module that it stands for, and the value that it returns."""
    return f"{role} {int(code)} {int(_SETCRED.get(role, PamCode.SUCCESS))}"


def with_outcomes(
    lines: list[Line], row_module: Path, outcomes: Mapping[str, PamCode | None]
) -> str:
    """The stack with each module replaced by its outcome; None for a module that is missing."""
    codes = {line.role: outcomes.get(line.role, PamCode.SUCCESS) for line in lines}
    words = {role: told(role, code) for role, code in codes.items() if code is not None}
    return _replaced(lines, row_module, words)


def with_roles(lines: list[Line], row_module: Path, missing: Set[str]) -> str:
    """The stack with each module replaced by one that asks for its outcome (rows.c), or by one
    that does not exist, if its role is among the `missing`."""
    words = {line.role: line.role for line in lines if line.role not in missing}
    return _replaced(lines, row_module, words)


def _replaced(lines: list[Line], row_module: Path, words: Mapping[str, str]) -> str:
    out = []
    for line in lines:
        if line.fixed:
            out.append(str(line))
        elif line.role in words:
            out.append(f"auth {line.control} {row_module} {words[line.role]}\n")
        else:
            out.append(f"auth {line.control} /nowhere/{line.module}\n")
    return "".join(out)
