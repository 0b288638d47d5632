# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""An operation for the copy of the tree: it says who somebody is."""

from __future__ import annotations

from keyservice.access import identity
from keyservice.access.context import Context
from keyservice.contract.names import Code
from keyservice.contract.operations import FLAGS, LANG, TIMEOUT, USER, Operation
from keyservice.contract.steps import Verdict

GREET = Operation(0x0F, "greet", (USER, LANG, FLAGS, TIMEOUT), named=True)


async def greet(context: Context) -> Verdict:
    person = await identity.identify(context)
    return Verdict(Code.SUCCESS, f"This is {person.name}.")
