# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rules on another store, in memory: what a login does hangs on the type ``Records`` alone."""

# ruff: noqa: F401 - what is imported here is run here

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import stores
from .test_authentication import (
    test_a_ukey_pulled_out_on_the_way,
    test_a_ukey_with_the_serial_and_another_key_is_not_asked_for_a_pin,
    test_a_wrong_pin_costs_a_try_and_says_so,
    test_a_wrong_signature_does_not_let_in,
    test_an_empty_answer_a_cancel_and_silence,
    test_many_at_once_are_each_served_in_turn,
    test_the_right_pin_lets_in,
    test_the_ukey_is_awaited,
    test_two_ukeys_with_one_serial_are_refused,
)
from .test_pins import (
    test_a_user_changes_the_pin_of_their_own,
    test_nobody_touches_anothers,
    test_unblocking,
    test_verifying,
    test_who_has_none,
)
from .test_tries import (
    test_a_locker_leaves_the_reserve,
    test_the_last_try_is_for_a_login_that_root_began,
)


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(stores, "of", stores.in_memory)
    yield
    kept = [path.name for path in tmp_path.glob("**/records/*")]
    assert set(kept) == {".witness"}  # and no record
