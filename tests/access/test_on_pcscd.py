# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The rules on real parts: pcscd, its virtual readers, and a confined process for each reader.

Every test that needs a ukey runs in the process of the tests (``tests.inprocess``). One for each
thing that a ukey can do, or that can be done to it, runs here as well: it is the same test, with
real readers. So both find a fault in a rule or a driver; if the two differ, the double is wrong.
"""

# ruff: noqa: F401 - what is imported here is run here

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemons import start_pcscd

# logging in
from .test_authentication import (
    test_a_mute_ukey_is_told_from_a_slow_person,
    test_a_ukey_pulled_out_on_the_way,
    test_a_ukey_that_comes_beside_a_mute_card_is_used_at_once,
    test_a_ukey_with_the_serial_and_another_key_is_not_asked_for_a_pin,
    test_a_wrong_pin_costs_a_try_and_says_so,
    test_a_wrong_signature_does_not_let_in,
    test_an_emulated_reader_is_refused_unless_allowed,
    test_many_at_once_are_each_served_in_turn,
    test_the_right_pin_lets_in,
    test_the_ukey_is_awaited,
    test_two_ukeys_with_one_serial_are_refused,
)

# binding and unbinding
from .test_enrolment import (
    test_a_ukey_from_the_factory_that_holds_nothing,
    test_binding,
    test_unbinding_needs_the_ukey_and_its_pin,
    test_what_is_there_instead_of_a_ukey,
)

# PINs
from .test_pins import (
    test_a_user_changes_the_pin_of_their_own,
    test_unblocking,
)

# tries
from .test_tries import (
    test_the_last_try_is_for_a_login_that_root_began,
    test_those_who_wait_behind_wrong_pins_are_throttled_too,
)
from .test_uncounted import test_a_deadline_too_short_for_the_answer_hides_no_wrong_pin

# what shows under uniform
from .test_uniform import (
    test_a_decoy_touches_no_ukey_and_never_lets_in,
    test_every_failure_looks_the_same,
)

for timed in (test_a_decoy_touches_no_ukey_and_never_lets_in, test_every_failure_looks_the_same):
    pytest.mark.alone(timed)  # as their module is


@pytest.fixture(scope="module")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield
    daemon.stop()


@pytest.fixture(autouse=True)
def readers(pcscd: None) -> None:
    """The real ones."""
