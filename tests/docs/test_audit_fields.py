# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``docs/operate.md`` explains every field of an audit line, and shows one in their order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from keyservice.access.audit import attempt_fields
from keyservice.access.context import Context
from keyservice.access.conversation import Caller, Request
from keyservice.access.services import Services
from keyservice.contract import operations
from keyservice.contract.names import Code
from keyservice.contract.steps import Verdict

TEXT = (Path(__file__).parents[2] / "docs/operate.md").read_text()
SECTION = TEXT.split("## The audit log")[1].split("\n## ")[0]


def fields() -> list[str]:
    caller = Caller(uid=0, pid=1, ruid=0, loginuid=None, logind_session=None, source="root.sock")
    attempt = Context(cast(Services, None), caller, Request(operations.AUTHENTICATION), bytes(16))
    return list(attempt_fields(attempt, Verdict(Code.SUCCESS), None))


def test_every_field_is_explained() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", SECTION, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(fields())


def test_the_example_has_every_field_in_order() -> None:
    example = SECTION.split("```")[1]
    assert re.findall(r"(?<![\w(])(\w+)=", example) == fields()
