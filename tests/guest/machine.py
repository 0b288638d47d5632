# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""QEMU: the command line of a guest whose disk ``scripts/lib/guest`` made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: the guest's own; with QEMU's, it takes of the host what scripts/lib/guest/ready.sh asks for
MEMORY_MB = 1024

_LINUX = (
    "console=ttyS0 root=/dev/vda rw mitigations=off tsc=reliable no_timer_check"
    # Nothing on the console but what is said to people.
    " quiet loglevel=1 systemd.show_status=0 audit=1 audit_backlog_limit=8192"
)


@dataclass(frozen=True)
class Machine:
    base: Path  #: with vmlinux and initrd
    disk: Path  #: never written; beside it, the private key by which root gets in
    ssh_port: int  #: of this machine's loopback
    ukey_port: int  #: where the emulated ukey is served

    @property
    def key(self) -> Path:
        return self.disk.with_name(self.disk.name + ".key")

    def create_overlay(self) -> list[str]:
        """The command that makes a file, its last argument to be added, for :meth:`command`."""
        return ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(self.disk), "-F", "raw"]

    def command(
        self,
        console: Sequence[str],
        *,
        selinux: bool = True,
        overlay: Path | None = None,
        kept: bool = False,
    ) -> list[str]:
        """`console`: QEMU's options for ttyS0. `kept`: what the guest writes goes to `overlay`."""
        linux = f"{_LINUX} security={'selinux' if selinux else 'none'} guest.ukey={self.ukey_port}"
        disk = f"file={overlay},format=qcow2" if overlay else f"file={self.disk},format=raw"
        if not kept:
            disk += ",snapshot=on"
        return [
            *("qemu-system-x86_64", "-M", "q35,vmport=off,smm=off", "-cpu", "Nehalem"),
            *("-accel", "tcg,thread=multi,tb-size=512", "-smp", "2", "-m", str(MEMORY_MB)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", *console),
            *("-kernel", str(self.base / "vmlinux"), "-initrd", str(self.base / "initrd")),
            *("-append", linux),
            # What is lost when the host's power goes is no loss here.
            *("-drive", f"if=none,id=disk,cache=unsafe,{disk}"),
            *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
        ]
