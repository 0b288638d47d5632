# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The commands, and a scripted keyservice on the real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.running import CHECKOUT, COMMANDS, Commands
from tests.tools.scripted import Keyservice


@pytest.fixture(scope="session")
def launchers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands as an installation has them: an isolated interpreter, nothing of ours."""
    folder = tmp_path_factory.mktemp("bin")
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    folder.chmod(0o755)
    for name, module in COMMANDS.items():
        path = folder / name
        path.write_text(
            "#!/usr/bin/python3 -I\n"
            f"import sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
            f"from {module} import main\nmain()\n"
        )
        path.chmod(0o755)
    return folder


@pytest.fixture
def service() -> Iterator[Keyservice]:
    """The scripted keyservice on root's socket."""
    keyservice = Keyservice("/run/ukey/root.sock")
    yield keyservice
    keyservice.close()


@pytest.fixture
def commands(launchers: Path) -> Iterator[Commands]:
    running = Commands(launchers)
    yield running
    running.close()
