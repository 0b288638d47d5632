# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Recognising a ukey among cards, and what it and its kind say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from keyservice.core.errors import UkeyError
from keyservice.transport import pcsc
from keyservice.ukeys import kinds, operations, wire
from keyservice.ukeys.kind import Ability
from keyservice.ukeys.text import is_name, is_serial

from .desk import READER, Desk
from .examples import EXAMPLES
from .tasks import TASKS


def test_every_kind_and_every_operation_is_in_the_suite() -> None:
    assert {example.kind.name for example in EXAMPLES} >= {kind.name for kind in kinds.KINDS}
    known = operations.OPERATIONS
    done_with_ukeys = {number for number, each in known.items() if each.on_card is None}
    assert {task.operation.number for task in TASKS} == done_with_ukeys


def test_it_is_recognised_and_says_what_it_is(desk: Desk) -> None:
    info = desk.ukey.info()
    assert info.kind == desk.example.kind.name
    assert (info.serial, info.reader, info.virtual) == (desk.serial, READER, True)
    assert desk.ukey.seen_pin is None
    assert desk.resets == 1  # its insertion
    desk.check_left()


def test_it_is_recognised_again_and_touched_in_vain_by_nobody(desk: Desk) -> None:
    desk.answers()
    for _ in range(2):
        desk.ukey.info()
    assert desk.answers() == []
    assert desk.recognised().info() == desk.ukey.info()
    assert desk.resets == 1


def test_its_kind_says_what_the_service_relies_on(desk: Desk) -> None:
    kind, example = desk.example.kind, desk.example
    assert 1 <= len(kind.name.encode()) <= 16
    assert is_name(kind.name)
    assert 1 <= kind.pin_rule.minimum <= kind.pin_rule.maximum
    for pin in filter(None, (example.pin, example.wrong, example.next_pin, example.admin)):
        assert kind.pin_rule.minimum <= len(pin) <= kind.pin_rule.maximum
    assert kind.can <= frozenset(Ability)
    for setting in kind.settings:
        assert len(setting.choices) == len(set(setting.choices)) > 1
    kind.prepare()


def test_what_it_brings_crosses_to_the_service_as_it_is(desk: Desk) -> None:
    """The worker's parent checks every result, and takes these."""
    for task in TASKS:
        if task.is_for(desk.example):
            desk.renew()
            result = desk.run(task)
            seen = desk.ukey.seen_pin
            answer = wire.parse_answer(wire.build_done(task.operation, result, seen), READER)
            taken = answer.take(task.operation)
            if task.operation is operations.PROBE:  # the service knows the reader better
                assert (taken.kind, taken.serial) == (desk.example.kind.name, desk.serial)
            else:
                assert taken == result
            assert answer.seen_pin == seen


def test_its_serial_can_be_one(desk: Desk) -> None:
    assert is_serial(desk.ukey.info().serial)


#: What a card that is no ukey may answer; it may be put into a reader at any time.
FOREIGN: list[dict[str, Any]] = [
    {"foreign": True},
    {"sw": 0x6E00},
    {"sw": 0x6A81},
    {"sw": 0x6F00},
    {"sw": 0x6A82, "lengthen": 2},
    {"sw": 0x9000},
    {"sw": 0x6101},
    {"sw": 0x6C02},
    {"lengthen": 1},
    {"lengthen": 300},
    {"lengthen": 5000},
    {"lengthen": -1},
    {"lengthen": -(1 << 16)},
    {"garbage": "random"},
    {"garbage": "huge"},
]


def name(faults: dict[str, Any]) -> str:
    return "-".join(f"{key}={value}" for key, value in faults.items())


@pytest.mark.parametrize("faults", FOREIGN, ids=name)
def test_another_card_is_nobodys_and_left_as_it_was(desk: Desk, faults: dict[str, Any]) -> None:
    desk.misbehave(**faults)
    assert desk.example.kind.recognise(pcsc.Card(READER)) is None
    assert desk.resets == 1
    desk.check_left()
    desk.behave()
    assert desk.recognised().info().serial == desk.serial


@pytest.mark.parametrize("faults", FOREIGN, ids=name)
def test_another_card_in_its_place_gets_no_pin(desk: Desk, faults: dict[str, Any]) -> None:
    for task in TASKS:
        if task.pins and task.is_for(desk.example):
            desk.renew()
            recognising = len(desk.answers())
            desk.change()
            desk.misbehave(**faults)
            with pytest.raises(UkeyError):
                desk.run(task)
            # it was asked what it is, once in two ways at most, and for the rest of that
            assert len(desk.answers()) <= recognising + 2
            assert desk.device.tries() == desk.example.maximum
            desk.check_left()
