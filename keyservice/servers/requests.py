# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Makes a session's ``Request`` from the checked fields of a request, by frame or by bus."""

from __future__ import annotations

from collections.abc import Mapping

from keyservice.access.conversation import Request
from keyservice.contract.names import Flag
from keyservice.contract.operations import Operation
from keyservice.contract.requests import Value


def request_of(operation: Operation, fields: Mapping[str, Value]) -> Request:
    """`fields` are those that ``contract.requests`` checked for `operation`."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    flags, timeout = fields.get("flags", 0), fields.get("timeout", 0)
    return Request(operation, flags=Flag(int(flags)), timeout=int(timeout), **texts)
