# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""QEMU: the command line of a guest whose disk ``scripts/lib/guest`` made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: what it is given, and what it takes of the host's with what QEMU needs for itself
MEMORY_MB = 1024

_LINUX = (
    "console=ttyS0 root=/dev/vda rw mitigations=off tsc=reliable no_timer_check"
    # Nothing on the console but what is said to people.
    " quiet loglevel=1 systemd.show_status=0 audit=1 audit_backlog_limit=8192"
)


@dataclass(frozen=True)
class Machine:
    base: Path  #: with vmlinux and initrd
    disk: Path  #: beside it, the private key by which root gets in
    ssh_port: int  #: of this machine's loopback
    ukey_port: int | None  #: where the emulated ukey is served
    selinux: bool = True

    @property
    def key(self) -> Path:
        return self.disk.with_name(self.disk.name + ".key")

    def command(self, console: Sequence[str]) -> list[str]:
        """Nothing that it writes to its disk is kept. `console`: QEMU's options for ttyS0."""
        linux = f"{_LINUX} security={'selinux' if self.selinux else 'none'}"
        if self.ukey_port is not None:
            linux += f" guest.ukey={self.ukey_port}"
        return [
            *("qemu-system-x86_64", "-M", "q35,vmport=off,smm=off", "-cpu", "Nehalem"),
            *("-accel", "tcg,thread=multi,tb-size=512", "-smp", "2", "-m", str(MEMORY_MB)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", *console),
            *("-kernel", str(self.base / "vmlinux"), "-initrd", str(self.base / "initrd")),
            *("-append", linux),
            *("-drive", f"if=none,id=disk,file={self.disk},format=raw,snapshot=on"),
            *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
        ]
