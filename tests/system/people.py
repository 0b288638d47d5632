# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Anybody who logs in with one ukey, again and again or many at once, through libpam alone."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from keyservice.contract.pam import PamCode
from tests.support.stacks import Answered

from .conftest import Enrolled

#: The ukey's line alone: where many log in, hashes of passwords would be most of the work.
STACK = "auth required pam_ukey.so {options}"


def settings(*, deadline: int = 60, device: int = 10, wait: int = 0) -> str:
    """A configuration: seconds that a session and a device may take, and that a ukey is awaited."""
    return f"""
[service]
deadline = {deadline}
[readers]
deadline = {device}
[authentication]
wait_for_ukey = {wait}
[services.locker]
factors_from_afar = ["ukey"]
"""


class People:
    """People who log in with the ukey of an enrolled person."""

    def __init__(self, enrolled: Enrolled, options: str = "") -> None:
        """`options`: those of the module."""
        self.enrolled = enrolled
        self.card = enrolled.ukey.control
        enrolled.host.pam.stack("ukey", STACK.format(options=options))

    def begin(self, pin: str | None = None, at: float = 0.0, **more: Any) -> Future[Answered]:
        """Somebody who types a PIN, at the monotonic time `at` or at once.

        `more`: as for ``Crowd.begin``.
        """
        answers = [self.enrolled.pin if pin is None else pin]
        crowd, name = self.enrolled.crowd, self.enrolled.user.name
        return crowd.begin("ukey", name, answers, pace=[at], **more)

    def login(self, pin: str | None = None) -> Answered:
        return self.begin(pin).result(90)

    def must_login(self) -> Answered:
        answered = self.login()
        assert answered.code is PamCode.SUCCESS, (answered, self.enrolled.host.authlog.text)
        return answered
