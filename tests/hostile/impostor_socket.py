# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A keyservice of the user's own that says yes to everybody: ``impostor_socket.py SOCKET…``.

Standard output: ``ready``, then a line for each that asks.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

sys.path.insert(0, "/usr/lib/ukey")

from keyservice.contract import frames
from keyservice.contract.names import Code
from keyservice.contract.steps import Verdict


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            print("asked", flush=True)
            connection.sendall(frames.build_step(bytes(16), Verdict(Code.SUCCESS, "")))


def main(paths: list[str]) -> None:
    for path in paths:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        threading.Thread(target=_serve, args=(listener,)).start()
    print("ready", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
