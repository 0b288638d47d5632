# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the keyservice does for each operation: a line each. An operation that is not listed here
cannot be begun in any way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from keyservice.contract import operations
from keyservice.contract.operations import Operation
from keyservice.contract.steps import Verdict

from . import ssh_keys
from .authentication import authenticate
from .context import Context
from .enrolment import bind
from .pins import change_pin, unblock_pin, verify_pin
from .unbinding import unbind

#: Returns the verdict, or raises any :class:`UkeyError`.
Function = Callable[[Context], Awaitable[Verdict]]

FUNCTIONS: dict[Operation, Function] = {
    operations.AUTHENTICATION: authenticate,
    operations.BIND: bind,
    operations.UNBIND: unbind,
    operations.CHANGE_PIN: change_pin,
    operations.UNBLOCK_PIN: unblock_pin,
    operations.VERIFY_PIN: verify_pin,
    operations.SSH_KEY_ADD: ssh_keys.add,
    operations.SSH_KEY_REMOVE: ssh_keys.remove,
}
BY_NUMBER = {operation.number: operation for operation in FUNCTIONS}
