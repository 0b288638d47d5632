# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The hostile user's own daemons: a bus, and on it a keyservice that says yes to everybody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.support.daemons import answers
from tests.support.process import Daemon

_IMPOSTOR = Path(__file__).with_name("impostor_bus.py")
_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/>
    <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class OwnBus:
    """Listens at `path`. Everybody may connect, root too."""

    def __init__(self, path: Path, prefix: Sequence[str], logs: Path) -> None:
        """`prefix`: what makes a command the user's."""
        self.address = f"unix:path={path}"
        config = logs / "own-bus.conf"
        config.write_text(_CONFIG.format(path=path))
        command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]
        self._bus = Daemon([*prefix, *command], logs / "own-bus.log")
        self._bus.wait_ready(lambda: answers(str(path)))
        program = ["/usr/bin/python3", "-I", str(_IMPOSTOR), self.address]
        self._service = Daemon([*prefix, *program], logs / "impostor.log")
        self._service.wait_ready(lambda: self._service.log.read_text().startswith("ready\n"))

    def heard(self) -> list[str]:
        """The uid of each client that came, and the name of each method that it called."""
        return self._service.log.read_text().splitlines()[1:]

    def close(self) -> None:
        self._service.stop()
        self._bus.stop()
