# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Looking at a ukey without a PIN, and signing with it."""

from __future__ import annotations

import pytest

from keyservice.core.errors import BadRequest, NoKeyPair, PinWrong, UkeyFailed
from keyservice.core.secret import Secret
from keyservice.ukeys.base import KeyRef
from keyservice.ukeys.operations import Arguments

from .desk import Desk
from .tasks import CONTAINERS, PUBLIC_KEY, SIGN, TASKS, VERIFY_PIN, Task


def test_each_operation_brings_what_the_device_has(desk: Desk, task: Task) -> None:
    assert desk.is_right(task, desk.run(task))
    assert desk.resets == 1
    desk.check_left()


def test_none_costs_more_when_the_ukey_is_known(desk: Desk, task: Task) -> None:
    """Known, idle, open: only the operation's own commands. A signature's length may vary."""
    first = desk.trial(task)
    if task.repeats:
        desk.run(task)
        again = [step.ins for step in desk.answers()]
        assert len(again) <= len(first)
        desk.run(task)
        assert [step.ins for step in desk.answers()] == again


def test_each_works_after_somebody_elses_reset(desk: Desk, task: Task) -> None:
    desk.run(VERIFY_PIN)
    for _ in range(2):
        desk.forget()
    assert desk.is_right(task, desk.run(task))
    desk.check_left()


def test_what_is_not_there_is_told_before_a_try_is_spent(desk: Desk) -> None:
    """A signature needs the container, and a PIN its application alone."""
    example = desk.example
    asked = [task for task in TASKS if task.is_for(example) and task.arguments(example).ref]
    for task in asked:
        for ref in example.absent:
            desk.renew()
            wrong = task.arguments(example, ref=ref, pin=Secret(example.wrong))
            if task in (PUBLIC_KEY, SIGN) or ref.application != example.ref.application:
                with pytest.raises(NoKeyPair):
                    task.operation.run(desk.ukey, wrong)
                assert desk.device.tries() == example.maximum
                assert desk.resets == 1
            elif task.pins:
                with pytest.raises((NoKeyPair, PinWrong)):
                    task.operation.run(desk.ukey, wrong)
            desk.check_left()


def test_the_containers_have_the_keys_that_they_are_said_to_have(desk: Desk) -> None:
    listed = CONTAINERS.operation.run(desk.ukey, Arguments())
    for container in listed:
        held = desk.device.key(container.ref)
        assert (held is not None) is container.has_key
        if held is not None:
            shown = PUBLIC_KEY.operation.run(desk.ukey, Arguments(container.ref))
            assert (shown.algorithm, shown.encoded) == (desk.example.algorithm, held)


def test_a_signature_is_the_keys_over_the_data_that_was_given(desk: Desk) -> None:
    example = desk.example
    for data in (example.data, bytes(len(example.data)), example.data[::-1]):
        signed = SIGN.operation.run(desk.ukey, SIGN.arguments(example, data=data))
        assert desk.device.verifies(example.ref, data, signed)
        others = [each for each in (example.data, bytes(len(data))) if each != data]
        assert not any(desk.device.verifies(example.ref, each, signed) for each in others)


def test_what_cannot_be_signed_costs_no_try(desk: Desk) -> None:
    desk.answers()
    for data in desk.example.unfit:
        with pytest.raises(BadRequest):
            SIGN.operation.run(desk.ukey, SIGN.arguments(desk.example, data=data))
    assert desk.answers() == []
    assert desk.device.tries() == desk.example.maximum


def test_where_no_pair_is_nothing_signs(desk: Desk) -> None:
    empty = desk.example.empty
    places = [*desk.example.absent, *([empty] if empty else [])]
    for ref in places:
        with pytest.raises(NoKeyPair):
            PUBLIC_KEY.operation.run(desk.ukey, Arguments(ref))
        with pytest.raises((NoKeyPair, UkeyFailed)):
            SIGN.operation.run(desk.ukey, SIGN.arguments(desk.example, ref=ref))
        desk.check_left()
    assert desk.is_right(SIGN, desk.run(SIGN))


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b"])
def test_names_that_nothing_can_have(desk: Desk, name: str) -> None:
    ref = desk.example.ref
    for task in TASKS:
        if task.is_for(desk.example) and task.arguments(desk.example).ref is not None:
            arguments = task.arguments(desk.example, ref=KeyRef(name, ref.container))
            with pytest.raises((BadRequest, NoKeyPair)):
                task.operation.run(desk.ukey, arguments)
            desk.check_left()
    assert desk.device.tries() == desk.example.maximum
    assert desk.resets == 1
