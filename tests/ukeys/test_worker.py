# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A worker's side of the socket, over a stubbed pyscard."""

from __future__ import annotations

import socket

import pytest

from keyservice.core.errors import UkeyRemoved, UkeyUnknown
from keyservice.core.secret import Secret
from keyservice.transport import pcsc
from keyservice.ukeys import wire
from keyservice.ukeys.base import KeyRef, TryReserve
from keyservice.ukeys.fields import MESSAGE_MAX
from keyservice.ukeys.operations import PROBE, SIGN, Arguments
from keyservice.ukeys.worker import Worker, serve
from tests.transport.scard_stub import ScardStub

GET_DEV_INFO = "80040000 000120"
SELECT_PIV = "00a40400 05 a000000308 00"
SELECT_OPENPGP = "00a40400 06 d27600012401 00"


@pytest.fixture
def worker(stub: ScardStub) -> Worker:
    return Worker(pcsc.Card("R"))


def dev_info(serial: bytes) -> str:
    data = bytearray(288)
    data[164 : 164 + len(serial)] = serial
    return data.hex() + "9000"


def test_another_ukey_than_the_one_meant_gets_no_pin(stub: ScardStub, worker: Worker) -> None:
    stub.expect((GET_DEV_INFO, dev_info(b"SN2")))
    with Secret(b"123456") as pin:
        sign = Arguments(KeyRef("a", "b"), pin=pin, reserve=TryReserve.NONE, data=bytes(32))
        message = wire.build_request(SIGN, "SN1", arguments=sign)
    answer = wire.parse_answer(worker.answer(message), "R")
    assert type(answer.error) is UkeyRemoved
    assert message.count(0) == len(message)  # wiped
    stub.done()


def test_somebody_elses_card_is_let_go(stub: ScardStub, worker: Worker) -> None:
    stub.expect((GET_DEV_INFO, "6d00"), (SELECT_PIV, "6a82"), (SELECT_OPENPGP, "6a82"))
    answer = wire.parse_answer(worker.answer(wire.build_request(PROBE)), "R")
    assert type(answer.error) is UkeyUnknown
    assert stub.done()[-2:] == ["end leave", "disconnect leave"]
    assert not worker.useless


def test_it_serves_until_the_service_goes(stub: ScardStub, worker: Worker) -> None:
    stub.expect((GET_DEV_INFO, dev_info(b"SN1")))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.send(wire.build_request(PROBE))
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, worker)
    answer = wire.parse_answer(bytearray(ours.recv(MESSAGE_MAX)), "R")
    assert answer.take(PROBE).serial == "SN1"
    ours.close()
