# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Steering a running softkey from a test: a client of the unix socket beside its state file.

``Control(path).remove()``; each call is one connection and one line of JSON in each direction.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUFFIX = ".sock"
LINE_MAXIMUM = 8192


class ControlError(Exception):
    """The softkey refused, or did not answer in time."""


class NotRunning(ControlError):
    """No softkey runs on this state file."""


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for `path` that fits an AF_UNIX address (107 bytes), however deep it lies."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def socket_path(state: str | os.PathLike[str]) -> Path:
    return Path(f"{os.fspath(state)}{SUFFIX}")


class Control:
    """`path` is the state file; `timeout` bounds every call, in seconds."""

    def __init__(self, path: str | os.PathLike[str], timeout: float = 10.0) -> None:
        self.path = Path(path)
        self.timeout = timeout

    def insert(self) -> None:
        """Put the ukey into its reader. pcscd sees it at its next poll: :meth:`wait_inserted`."""
        self._call("insert")

    def remove(self) -> None:
        """Pull it out, at once; what it was answering is lost."""
        self._call("remove")

    def plug(self) -> None:
        """Let the next computer that asks over USB/IP have the device."""
        self._call("plug")

    def unplug(self) -> None:
        """Pull it out of the USB port, at once."""
        self._call("unplug")

    def wait_inserted(self, timeout: float | None = None) -> None:
        """Return once pcscd has seen the inserted ukey; :class:`ControlError` if it does not."""
        self._call("wait-inserted", timeout)

    def status(self) -> dict[str, Any]:
        """serial, label, inserted, seen, applications with containers and tries left, …

        busy: milliseconds that the card has computed, well-behaved, since the process began.
        """
        return self._call("status")

    def answers(self) -> bool:
        """Whether it can be steered."""
        try:
            self.status()
        except ControlError:
            return False
        return True

    def misbehave(self, **switches: Any) -> None:
        """Replace all faults by these: fields of ``misbehave.Faults`` and ``traits.Traits``."""
        self._call("misbehave", switches=switches)

    def behave(self) -> None:
        """No faults, and the traits of its own."""
        self._call("misbehave", switches={})

    def apdus(self) -> list[tuple[int, int]]:
        """(INS, SW) of each APDU since :meth:`reset_apdus`, in order; SW 0 where none was sent."""
        return [(ins, sw) for ins, sw in self._call("apdus")["apdus"]]

    def reset_apdus(self) -> None:
        self._call("reset-apdus")

    def _call(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(self.timeout if timeout is None else timeout)
            try:
                with short_path(socket_path(self.path)) as address:
                    sock.connect(address)
                sock.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
                with sock.makefile("rb") as stream:
                    line = stream.readline()
            except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
                raise NotRunning(f"no softkey runs on {self.path}") from None
            except TimeoutError:
                raise ControlError(f"the softkey on {self.path} did not {do} in time") from None
            except OSError as error:
                raise ControlError(f"{socket_path(self.path)}: {error.strerror}") from None
        if not line.endswith(b"\n"):
            raise NotRunning(f"the softkey on {self.path} ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ControlError(answer["error"])
        return answer
