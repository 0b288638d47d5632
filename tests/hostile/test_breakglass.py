# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Break-glass on a console: whatever su's caller gives it, nobody passes without an alert.

The password alone lets a member of the group in there, and the gate that says so is a program
that PAM starts: with its caller's limits, signals and working directory.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from tests.support.terminal import Terminal

from .conditions import ENVIRONMENT, INHERITED, LIMITS
from .scene import DEADLINE, Scene

ALERT = r"ukey-breakglass: the password alone lets in .*user=bob service=su tty=tty\d "
CONSOLES = 8
#: Without its streams su shows no prompt.
CONDITIONS = {**ENVIRONMENT, **LIMITS, **INHERITED}


def count(scene: Scene, pattern: str) -> int:
    return sum(re.search(pattern, line.text) is not None for line in scene.logged())


def test_who_passes_is_in_the_log(scene: Scene) -> None:
    consoles: SimpleQueue[Terminal] = SimpleQueue()
    for number in range(1, CONSOLES + 1):
        consoles.put(scene.host.console(f"tty{number}"))

    def attempt(name: str) -> bool:
        terminal = consoles.get()
        try:
            terminal.start(scene.hers(CONDITIONS[name], "su", scene.bob))
            terminal.converse([scene.bob.password], seconds=DEADLINE)
            return scene.entered(terminal.pid)
        finally:
            consoles.put(terminal)

    with ThreadPoolExecutor(CONSOLES) as pool:
        entered = dict(zip(CONDITIONS, pool.map(attempt, CONDITIONS), strict=True))
    assert entered["nothing"]
    assert not all(entered.values())
    assert count(scene, ALERT) >= sum(entered.values())
    assert not scene.watcher.by_root(scene.folder)
