# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The ukey as a USB device: what the kernel's USB/IP client and libccid get to see, in bytes."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.softkey import state
from tests.softkey.control import Control
from tests.softkey.link import ATR
from tests.support import CHECKOUT

BULK_OUT, BULK_IN, INTERRUPT_IN = 2, 1, 3
ASK_LIST, ASK_IMPORT = b"\x01\x11\x80\x05\0\0\0\0", b"\x01\x11\x80\x03\0\0\0\0"
DEVICE_INFO_BYTES = 312


class Computer:
    """A computer's end of the connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.sequence = 0

    def read(self, length: int) -> bytes:
        got = b""
        while len(got) < length:
            part = self.sock.recv(length - len(got))
            assert part, "it hung up"
            got += part
        return got

    def plug_in(self) -> int:
        """Take the device; returns the status."""
        self.sock.sendall(ASK_IMPORT + b"1-1".ljust(32, b"\0"))
        version, code, status = struct.unpack(">HHI", self.read(8))
        assert (version, code) == (0x0111, 3)
        if status == 0:
            self.read(DEVICE_INFO_BYTES)
        return int(status)

    def submit(self, pipe: int, data: bytes, want: int, setup: bytes = bytes(8)) -> int:
        self.sequence += 1
        inward = want > 0
        length = want or len(data)
        head = struct.pack(">IIIIIIIIII", 1, self.sequence, 1, inward, pipe, 0, length, 0, 0, 0)
        self.sock.sendall(head + setup + data)
        return self.sequence

    def result(self, *, inward: bool = True) -> tuple[int, int, bytes]:
        """Sequence number, status and data of the next transfer that is done."""
        command, sequence, _, _, _, status, length = struct.unpack(">IIIIIiI", self.read(48)[:28])
        assert command == 3
        return sequence, status, self.read(length) if inward else b""

    def ccid(self, message: bytes) -> bytes:
        """Send a message by the bulk pipe; returns the answer."""
        self.submit(BULK_OUT, message, 0)
        assert self.result(inward=False)[1] == 0
        self.submit(BULK_IN, b"", 65554)
        return self.result()[2]

    def power_on(self) -> bytes:
        return self.ccid(b"\x62\0\0\0\0\0\x01\0\0\0")


@pytest.fixture
def ukey(tmp_path: Path) -> Iterator[tuple[Control, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    path = tmp_path / "usb.ukey"
    state.StateFile(path).create(state.new(serial="SK01"))
    command = [sys.executable, "-m", "tests.softkey", "run", str(path), "--usbip", "--port"]
    with subprocess.Popen([*command, str(port)], cwd=CHECKOUT, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield Control(path), port
        running.terminate()


def test_one_computer_has_it_until_it_is_unplugged(ukey: tuple[Control, int]) -> None:
    control, port = ukey
    first, second = Computer(port), Computer(port)
    assert first.plug_in() == 0
    assert second.plug_in() == 1
    control.unplug()
    assert first.sock.recv(1) == b""
    assert Computer(port).plug_in() == 1
    control.plug()
    assert Computer(port).plug_in() == 0


def test_it_is_listed_while_it_is_to_be_had(ukey: tuple[Control, int]) -> None:
    _, port = ukey
    computer = Computer(port)
    computer.sock.sendall(ASK_LIST)
    assert computer.read(12) == b"\x01\x11\0\x05\0\0\0\0\0\0\0\x01"
    info = computer.read(DEVICE_INFO_BYTES)
    assert info[256:260] == b"1-1\0"
    assert info[300:304] == b"\x16\x3c\x04\x17"
    assert computer.read(4) == b"\x0b\0\0\0"


def test_descriptors_say_how_long_they_are(ukey: tuple[Control, int]) -> None:
    computer = Computer(ukey[1])
    computer.plug_in()
    computer.submit(0, b"", 18, b"\x80\x06\0\x01\0\0\x12\0")
    device = computer.result()[2]
    assert (len(device), device[0], device[8:12]) == (18, 18, b"\x3c\x16\x17\x04")
    computer.submit(0, b"", 255, b"\x80\x06\0\x02\0\0\xff\0")
    configuration = computer.result()[2]
    assert int.from_bytes(configuration[2:4], "little") == len(configuration)
    computer.submit(0, b"", 255, b"\x80\x06\0\x0f\0\0\xff\0")  # no such descriptor: stalls
    assert computer.result()[1] == -32


def test_an_extended_apdu_and_its_answer(ukey: tuple[Control, int]) -> None:
    computer = Computer(ukey[1])
    computer.plug_in()
    assert computer.power_on() == struct.pack("<BIBB", 0x80, len(ATR), 0, 1) + bytes(3) + ATR
    apdu = bytes.fromhex("80040000000120")  # GetDevInfo
    answer = computer.ccid(struct.pack("<BIBB", 0x6F, len(apdu), 0, 2) + bytes(3) + apdu)
    assert answer[:10] == struct.pack("<BIBB", 0x80, 290, 0, 2) + bytes(3)
    assert answer[-2:] == b"\x90\0"
    assert b"SK01" in answer


def test_a_card_that_is_out_is_said_to_be(ukey: tuple[Control, int]) -> None:
    control, port = ukey
    computer = Computer(port)
    computer.plug_in()
    for change, told in ((None, 3), (control.remove, 2), (control.insert, 3)):
        if change:
            change()
        computer.submit(INTERRUPT_IN, b"", 8)
        assert computer.result()[2] == bytes((0x50, told))
        assert (computer.power_on()[7] & 3 == 2) == (told == 2)


def test_a_slow_card_asks_for_more_time(ukey: tuple[Control, int]) -> None:
    control, port = ukey
    computer = Computer(port)
    computer.plug_in()
    computer.power_on()
    control.misbehave(slow=700)
    apdu = bytes.fromhex("80500000000008")  # GenRandom
    waits = computer.ccid(struct.pack("<BIBB", 0x6F, len(apdu), 0, 3) + bytes(3) + apdu)
    assert waits == b"\x80\0\0\0\0\0\x03\x80\x01\0"
    computer.submit(BULK_IN, b"", 65554)
    assert computer.result()[2][-2:] == b"\x90\0"
