# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ukey in a reader: real pcscd, real vpcd, pyscard at the other end."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from smartcard import scard

from tests.softkey import sm2
from tests.support.daemons import start_pcscd
from tests.support.process import Daemon, wait_until
from tests.support.ukeys import Softkey

from .terminal import ADMIN_PIN, INFO, PIN, Terminal, split

DIGEST = bytes(range(32))
SIGN, VERIFY_PIN, GET_PIN_INFO = 0x74, 0x18, 0x14
#: what pcscd answers for a ukey that was pulled out: before and after it noticed
GONE = {0x80100016, 0x80100069}
#: one round of pcscd's polling is 0.4 s
POLL = 3.0


class Refused(Exception):
    """PC/SC's own error code."""


class Reader:
    """The first reader, as a program sees it."""

    def __init__(self) -> None:
        code, self.context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        self._check(code)
        code, names = scard.SCardListReaders(self.context, [])
        self._check(code)
        self.name = names[0]
        self.handle, self.protocol = 0, 0

    def connect(self) -> Terminal:
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, self.handle, self.protocol = scard.SCardConnect(
            self.context, self.name, scard.SCARD_SHARE_SHARED, protocols
        )
        self._check(code)
        return Terminal(self.transmit)

    def transmit(self, apdu: bytes) -> bytes:
        code, answer = scard.SCardTransmit(self.handle, self.protocol, list(apdu))
        self._check(code)
        return bytes(answer)

    def reset(self) -> None:
        code, self.protocol = scard.SCardReconnect(
            self.handle, scard.SCARD_SHARE_SHARED, self.protocol, scard.SCARD_RESET_CARD
        )
        self._check(code)

    def events(self) -> tuple[bool, int]:
        """Whether pcscd says that a ukey is in, and how often that has changed."""
        code, states = scard.SCardGetStatusChange(
            self.context, 0, [(self.name, scard.SCARD_STATE_UNAWARE)]
        )
        self._check(code)
        state = states[0][1]
        return bool(state & scard.SCARD_STATE_PRESENT), state >> 16

    def present(self) -> bool:
        return self.events()[0]

    def absent(self) -> bool:
        return not self.present()

    def close(self) -> None:
        if self.handle:
            scard.SCardDisconnect(self.handle, scard.SCARD_LEAVE_CARD)
        scard.SCardReleaseContext(self.context)

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise Refused(f"{code & 0xFFFFFFFF:#x}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def pcscd(folder: Path) -> Iterator[list[Daemon]]:
    """The one that runs; a test that restarts it puts the new one here."""
    running = [start_pcscd(folder)]
    yield running
    for daemon in running:
        daemon.stop()


@pytest.fixture
def softkey(pcscd: list[Daemon], tmp_path: Path) -> Iterator[Softkey]:
    made = Softkey(
        tmp_path / "ukey", 0, pin=PIN, admin_pin=ADMIN_PIN, inserted=True, serial="SK0001"
    )
    made.control.wait_inserted()
    yield made
    made.close()


@pytest.fixture
def reader(softkey: Softkey) -> Iterator[Reader]:
    made = Reader()
    wait_until(made.present, "inserted", POLL)
    yield made
    made.close()


def refusal(call: Callable[[], object]) -> int:
    with pytest.raises(Refused) as caught:
        call()
    return int(str(caught.value), 16)


def test_a_login(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    terminal.open()
    softkey.control.reset_apdus()
    assert terminal.tries() == (10, 10, 0)
    assert terminal.verify() == 0x9000
    signature, sw = terminal.sign(DIGEST)
    assert sw == 0x9000
    assert terminal.sw("801c0000", terminal.app) == 0x9000
    names = (0x14, 0x50, 0x18, 0x74, 0x1C)
    assert softkey.control.apdus() == [(ins, 0x9000) for ins in names]
    assert sm2.verify(terminal.point(), DIGEST, signature)
    point = softkey.control.status()["applications"][0]["containers"][0]["point"]
    assert bytes.fromhex(point) == terminal.point()


def test_a_reset_by_pcscd_logs_out(reader: Reader) -> None:
    terminal = reader.connect()
    terminal.open()
    terminal.verify()
    reader.reset()
    assert terminal.sign(DIGEST) == (b"", 0x698A)


def test_removed_and_inserted(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    softkey.remove()
    assert refusal(lambda: terminal.transmit(INFO)) in GONE
    wait_until(reader.absent, "removed", POLL)
    softkey.insert()
    wait_until(reader.present, "inserted", POLL)
    reader.connect().open()


def test_pulled_and_put_back_at_once_is_seen(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    terminal.open()
    terminal.verify()
    _, before = reader.events()
    for _ in range(3):  # faster than pcscd looks; dead connections pile up in vpcd's backlog
        softkey.control.remove()
        softkey.control.insert()
    softkey.control.wait_inserted()
    wait_until(lambda: reader.events() == (True, before + 2), "seen to be another", POLL)
    assert refusal(lambda: terminal.sign(DIGEST)) in GONE


@pytest.mark.parametrize("when", ["before", "after"])
def test_pulled_in_mid_command(softkey: Softkey, reader: Reader, when: str) -> None:
    terminal = reader.connect()
    terminal.open()
    softkey.control.misbehave(pull=when, ins=[VERIFY_PIN])
    softkey.control.reset_apdus()
    terminal.challenge()
    with softkey.pulled():
        assert terminal.transmit(bytes.fromhex("80180001000012") + bytes(18)) == b""
        assert softkey.control.apdus() == [(0x50, 0x9000), (VERIFY_PIN, 0)]
        assert not softkey.control.status()["inserted"]
        assert refusal(lambda: terminal.transmit(INFO)) in GONE
    softkey.insert()
    wait_until(reader.present, "inserted", POLL)
    assert split(reader.connect().transmit(INFO))[1] == 0x9000


def test_a_mute_ukey_blocks_until_it_is_pulled(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    softkey.control.misbehave(mute=True)
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(terminal.transmit(INFO)))
    waiting.start()
    wait_until(lambda: softkey.control.apdus()[-1:] == [(0x04, 0)], "asked", POLL)
    waiting.join(0.2)
    assert waiting.is_alive()
    softkey.remove()
    waiting.join(POLL)
    assert answers == [b""]


def test_a_slow_ukey_is_still_steered(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    softkey.control.misbehave(slow=2000)
    begun = time.monotonic()
    waiting = threading.Thread(target=terminal.transmit, args=(INFO,))
    waiting.start()
    wait_until(lambda: softkey.control.apdus()[-1:] == [(0x04, 0x9000)], "asked", POLL)
    softkey.control.status()
    assert waiting.is_alive()
    waiting.join(2 * POLL)
    assert not waiting.is_alive()
    assert time.monotonic() - begun >= 2


def test_four_kilobytes_come_through(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    softkey.control.misbehave(garbage="huge")
    assert len(terminal.transmit(INFO)) == 4098
    softkey.control.behave()
    assert len(terminal.transmit(INFO)) == 290


def test_a_killed_ukey_keeps_what_it_had(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    terminal.open()
    softkey.control.misbehave(die="after", ins=[VERIFY_PIN])
    assert terminal.verify(b"wrongpin") == 0
    assert softkey.daemon.process.wait(5) == -9
    softkey.start()
    softkey.control.wait_inserted()
    assert softkey.tries_left() == 9
    wait_until(reader.present, "inserted", POLL)
    terminal = reader.connect()
    terminal.open()
    assert terminal.tries() == (10, 9, 0)


def test_time_per_apdu(softkey: Softkey, reader: Reader) -> None:
    terminal = reader.connect()
    terminal.open()
    terminal.verify()

    def microseconds(run: Callable[[], object]) -> str:
        times = []
        for _ in range(200):
            begun = time.perf_counter()
            run()
            times.append((time.perf_counter() - begun) * 1e6)
        times.sort()
        return f"median {statistics.median(times):.0f}, p95 {times[189]:.0f}"

    print(f"µs per APDU, GetPINInfo: {microseconds(terminal.tries)}")
    print(f"µs per GenRandom and VerifyPIN: {microseconds(terminal.verify)}")
    print(f"µs per ECCSignData: {microseconds(lambda: terminal.sign(DIGEST))}")


def test_it_comes_back_to_a_new_pcscd(folder: Path, pcscd: list[Daemon], softkey: Softkey) -> None:
    for _ in range(2):
        pcscd.pop().stop()
        wait_until(lambda: not softkey.control.status()["seen"], "gone", POLL)
        pcscd.append(start_pcscd(folder))
        softkey.control.wait_inserted()
        reader = Reader()
        wait_until(reader.present, "inserted", POLL)
        reader.connect().open()
        reader.close()
