# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The host's side of the tests: builds commands by hand, sends them, takes answers apart."""

from __future__ import annotations

from collections.abc import Callable

from tests.softkey import pincrypto

PIN = b"24681357"
ADMIN_PIN = b"87654321admin"
NAME = b"ukey"

INFO = bytes.fromhex("80040000000120")
RANDOM = bytes.fromhex("80500000000008")


def command(header: str, data: bytes = b"", le: int | None = None) -> bytes:
    """An extended APDU: `header` is CLA INS P1 P2 in hexadecimal."""
    apdu = bytes.fromhex(header)
    if data:
        apdu += b"\0" + len(data).to_bytes(2, "big") + data
    if le is not None:
        apdu += (b"" if data else b"\0") + le.to_bytes(2, "big")
    return apdu


def key_of(pin: bytes) -> pincrypto.Sm4:
    return pincrypto.sm4(pincrypto.pin_key(pin.ljust(16, b"\0")))


class Terminal:
    """Talks to one card. `app` and `container` are the ids that it answered."""

    def __init__(self, transmit: Callable[[bytes], bytes]) -> None:
        self.transmit = transmit
        self.app = self.container = b""

    def send(self, header: str, data: bytes = b"", le: int | None = None) -> tuple[bytes, int]:
        """The answer's data and status word."""
        return split(self.transmit(command(header, data, le)))

    def sw(self, header: str, data: bytes = b"", le: int | None = None) -> int:
        return self.send(header, data, le)[1]

    def open(self, name: bytes = NAME, container: bytes | None = b"login") -> None:
        data, sw = self.send("80260000", name, 10)
        assert sw == 0x9000
        self.app = data[8:10]
        if container is not None:
            self.container, sw = self.send("80420000", self.app + container, 2)
            assert sw == 0x9000

    def challenge(self) -> bytes:
        data, sw = split(self.transmit(RANDOM))
        assert (len(data), sw) == (8, 0x9000)
        return data

    def verify(self, pin: bytes = PIN, role: int = 1) -> int:
        return self.sw(f"801800{role:02x}", self.app + key_of(pin).respond(self.challenge()))

    def tries(self, role: int = 1) -> tuple[int, int, int]:
        """Maximum, left, whether it is the default."""
        data, sw = self.send(f"801400{role:02x}", self.app, 3)
        assert sw == 0x9000
        maximum, left, default = data
        return maximum, left, default

    def sign(self, digest: bytes) -> tuple[bytes, int]:
        """r ‖ s and the status word."""
        data, sw = self.send("80740200", self.app + self.container + digest, 68)
        return data[4:], sw

    def point(self) -> bytes:
        data, sw = self.send("80880100", self.app + self.container, 68)
        assert (data[:4], sw) == (b"\0\1\0\0", 0x9000)
        return data[4:]

    def change(self, old: bytes, new: bytes, role: int = 1, count_mac: bool = False) -> int:
        return self._set(f"841600{role:02x}", old, new, "0016" if count_mac else "0012")

    def unblock(self, admin: bytes, new: bytes) -> int:
        return self._set("841a0000", admin, new, "0012")

    def _set(self, header: str, by: bytes, new: bytes, length: str) -> int:
        challenge, key = self.challenge(), key_of(by)
        data = self.app + key.encrypt(new.ljust(16, b"\0"))
        mac = key.mac(challenge, bytes.fromhex(header + length + "0000") + data)
        return self.sw(header, data + mac)


def split(answer: bytes) -> tuple[bytes, int]:
    return answer[:-2], int.from_bytes(answer[-2:], "big")
