# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What a kind cannot do is refused in words, and nothing is sent."""

from __future__ import annotations

import pytest

from keyservice.core.errors import BadRequest
from keyservice.ukeys.kind import Ability

from .desk import Desk
from .tasks import TASKS


def test_what_a_kind_cannot_do_is_refused(desk: Desk, lacking: Ability) -> None:
    tasks = [each for each in TASKS if lacking in (each.operation.needs, each.more)]
    assert tasks
    desk.answers()
    for task in tasks:
        with pytest.raises(BadRequest) as caught:
            desk.run(task)
        assert caught.value.reason is lacking.value
        assert caught.value.facts == {"kind": desk.example.kind.name}
    assert desk.answers() == []
    desk.check_usable()
