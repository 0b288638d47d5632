# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Break-glass on a console: whatever su's caller gives it, nobody passes without an alert.

The password alone lets a member of the group in there, and the gate that says so is a program
that PAM starts: with its caller's limits, signals and working directory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from tests.support.terminal import Terminal

from .conditions import ENVIRONMENT, INHERITED, LIMITS, Honest
from .scene import DEADLINE, Scene

ALERT = r"ukey-breakglass: the password alone lets in .*user=bob service=su tty={tty} "
CONSOLES = 8
#: Without its streams su shows no prompt.
CONDITIONS = {**ENVIRONMENT, **LIMITS, **INHERITED}
#: The kernel does not tell pam_exec how the gate ended, and it lets nobody in.
UNHEARD = ("SIGCHLD and SIGPIPE ignored", "all signals ignored")


def test_who_passes_is_in_the_log(scene: Scene) -> None:
    consoles: SimpleQueue[Terminal] = SimpleQueue()
    for number in range(1, CONSOLES + 1):
        consoles.put(scene.host.console(f"tty{number}"))

    def attempt(name: str) -> bool:
        """Whether it lets in; never without an alert of its own, on its console."""
        terminal, since = consoles.get(), len(scene.host.authlog.lines)
        try:
            terminal.start(scene.hers(CONDITIONS[name], "su", scene.bob))
            terminal.converse([scene.bob.password], seconds=DEADLINE)
            scene.check_start(terminal.pid, "su", CONDITIONS[name], terminal.screen)
            entered = scene.entered(terminal.pid)
            if entered:
                scene.host.authlog.wait_for(ALERT.format(tty=terminal.name), since)
            return entered
        finally:
            consoles.put(terminal)

    with ThreadPoolExecutor(CONSOLES) as pool:
        entered = dict(zip(CONDITIONS, pool.map(attempt, CONDITIONS), strict=True))
    for name, condition in CONDITIONS.items():
        if name in UNHEARD or condition.honest is Honest.OUT:
            assert not entered[name], name
        elif condition.expects("sudo") is Honest.IN:  # that leaves the gate room enough too
            assert entered[name], name
    assert not scene.watcher.by_root(scene.folder)
