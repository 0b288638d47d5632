# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The pool on real parts: pcscd, its virtual readers, and a confined process for each reader.

The tests of ukeys run in readers of their own process (``tests.inprocess``). One for each thing
that pcscd, a process or a card does by itself runs here as well: the same test, on real ones.
"""

# ruff: noqa: F401 - what is imported here is run here

from __future__ import annotations

import pytest

from .desks import Desk
from .test_operations import (
    test_a_serial_that_comes_late_is_waited_for,
    test_changing_and_unblocking_the_pin,
    test_containers_and_a_new_pair,
)
from .test_pin_change_cut_off import killed_after_every_command
from .test_pool import (
    test_a_serial_that_two_claim_is_nobodys,
    test_after_somebody_elses_reset,
    test_insertion_and_removal_are_events,
    test_the_commands_of_logins,
    test_withheld_and_locked_cost_one_command,
)
from .test_strangers import (
    test_a_card_that_is_no_ukey_is_left_alone,
    test_a_mute_ukey_costs_its_deadline_until_it_is_pulled,
    test_a_stranger_costs_a_login_its_deadline_and_not_the_reader,
    test_another_ukey_in_the_same_place_is_never_given_the_pin,
    test_pulled_at_any_command,
)
from .test_turns import (
    test_one_that_goes_away_while_served_leaves_the_ukey_in_order,
    test_sixty_four_at_once_on_one_ukey_each_in_turn,
    test_two_ukeys_do_not_wait_for_each_other,
)


@pytest.fixture
def desk(real_desk: Desk) -> Desk:
    return real_desk


def test_a_worker_killed_after_every_command_of_a_pin_change(desk: Desk) -> None:
    killed_after_every_command(desk, "worker")
