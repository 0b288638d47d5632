# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A ukey for each kind of test: emulated, in a reader of this process or behind the real pcscd, or
a script behind a stub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.transport import pcsc
from keyservice.ukeys.base import TryReserve
from keyservice.ukeys.gmt0017.ukey import Gmt0017
from tests.inprocess import processes
from tests.support.daemons import start_pcscd
from tests.support.host import Host
from tests.support.process import Daemon
from tests.support.ukeys import Softkey
from tests.transport.scard_stub import ScardStub
from tests.ukeys.desks import READERS, Desk, DeskHere, RealDesk
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
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    """In this process; modules that need real processes, or the real pcscd, have another."""
    for pcscd, running in processes.installed(monkeypatch, *READERS):
        made = DeskHere(tmp_path, pcscd, running)
        yield made
        made.clear()


@pytest.fixture
def softkey(desk: Desk) -> Softkey:
    return desk.softkey()


@pytest.fixture(scope="module")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The real one."""
    daemon = start_pcscd(tmp_path_factory.mktemp("pcscd"))
    yield daemon
    daemon.stop()


@pytest.fixture
def real_desk(pcscd: Daemon, tmp_path: Path) -> Iterator[Desk]:
    made = RealDesk(tmp_path)
    yield made
    made.clear()


@pytest.fixture
def own_pcscd(host: Host) -> Daemon:
    """The real one, for this test to break."""
    return host.pcscd()


@pytest.fixture
def own_softkey(host: Host, own_pcscd: Daemon) -> Softkey:
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
    assert ukey.sign(REF, PIN, E32, TryReserve.RESERVE) == RS
    assert stub.done() == ["begin", "end leave"]
    return ukey
