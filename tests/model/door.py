# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A login program at one place: to the kernel, this process looks like such a program there.

    python -m tests.model.door FD [TERMINAL]

FD is a SOCK_SEQPACKET socket, TERMINAL what becomes its controlling terminal. A message is a JSON
object: folder, service, user, tty, rhost, uids (real, effective and saved), password, pin; and
variable, if the program sets one of libpam's. The answer is a list: what pam_authenticate returned,
and pam_setcred after it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import termios
from functools import cache
from pathlib import Path
from typing import Any

from tests.pam.libpam import authenticate, keep_loaded

_keep_loaded = cache(keep_loaded)


def login(task: dict[str, Any]) -> list[int]:
    def answer(prompt: str) -> str:
        return str(task["pin" if "PIN" in prompt else "password"])

    folder, service = Path(task["folder"]), task["service"]
    _keep_loaded(folder, service)
    variable = task.get("variable", "")
    items = {name: task[name] for name in ("tty", "rhost") if task[name]}
    os.setresuid(*task["uids"])
    try:
        done = authenticate(
            folder, service, task["user"], answer, setcred=True, variable=variable, **items
        )
    finally:
        os.setresuid(0, 0, 0)
    return [done.code, done.setcred]


def main() -> None:
    descriptor, *terminal = sys.argv[1:]
    if terminal:
        opened = os.open(terminal[0], os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
    with socket.socket(fileno=int(descriptor)) as tasks:
        while message := tasks.recv(65536):
            tasks.send(json.dumps(login(json.loads(message))).encode())


if __name__ == "__main__":
    main()
