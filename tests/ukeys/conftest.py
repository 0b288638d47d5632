# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey for each kind of test: emulated behind real pcscd, or a script behind a stub."""

from __future__ import annotations

import pytest

from keyservice.transport import pcsc
from keyservice.ukeys.base import Keep
from keyservice.ukeys.gmt0017 import Gmt0017
from tests.support.host import Host
from tests.support.process import Daemon
from tests.support.ukeys import Softkey
from tests.transport.scard_stub import ScardStub
from tests.ukeys.real import PIN as REAL_PIN
from tests.ukeys.scripted import (
    CHALLENGE,
    CLEAR,
    E32,
    OK,
    OPEN_APP,
    OPEN_BOX,
    PIN,
    REF,
    RS,
    SIGNED,
    VERIFY,
    dev_info,
    pin_info,
)


@pytest.fixture
def pcscd(host: Host) -> Daemon:
    return host.pcscd()


@pytest.fixture
def softkey(host: Host, pcscd: Daemon) -> Softkey:
    return host.softkey(serial="SN1", pin=REAL_PIN)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> ScardStub:
    made = ScardStub()
    monkeypatch.setattr(pcsc, "scard", made)
    return made


@pytest.fixture
def ukey(stub: ScardStub) -> Gmt0017:
    """Just inserted and recognised."""
    stub.expect(dev_info())
    made = Gmt0017.recognise(pcsc.Card("R"))
    assert made is not None
    return made


@pytest.fixture
def opened(stub: ScardStub, ukey: Gmt0017) -> Gmt0017:
    """Known, idle, open."""
    stub.expect(OPEN_APP, pin_info(10), OPEN_BOX, CHALLENGE, (VERIFY, OK), SIGNED, CLEAR)
    assert ukey.sign(REF, PIN, E32, Keep.RESERVE) == RS
    assert stub.done() == ["begin", "end leave"]
    return ukey
