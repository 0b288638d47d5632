# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Standard streams closed, at a terminal, where sudo asks all the same. su: test_conditions."""

from __future__ import annotations

import pytest

from .conditions import DESCRIPTORS
from .scene import DEADLINE, Scene


@pytest.mark.parametrize("kind", ("helpful", "uniform"))
def test_sudo_asks_at_the_terminal_all_the_same(scene: Scene, kind: str) -> None:
    scene.stacks(kind)
    password, pin = scene.right("sudo")
    command = [word for word in scene.command("sudo", scene.demo) if word != "-S"]
    terminal = scene.host.terminal()
    for name, condition in DESCRIPTORS.items():
        for answers, right in (([password, pin], True), ([password], False), (["wrong"], False)):
            script = f'{condition.shell}; exec "$@"'
            terminal.start([*scene.as_alice(), "sh", "-c", script, "sh", *command])
            prompts = terminal.converse(answers, seconds=DEADLINE)
            assert scene.entered(terminal.pid) == right, (name, terminal.screen)
            scene.check_start(terminal.pid, "sudo", condition, terminal.screen)
            assert prompts[0] == f"[sudo] password for {scene.alice.name}:"
