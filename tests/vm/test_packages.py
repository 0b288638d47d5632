# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The package comes, is upgraded and goes on a machine that enforces: labels follow, and people log
in at each step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guest.guest import PIN as RIGHT
from tests.guest.guest import UNIT, Guest, given
from tests.support.process import must

WITH = {
    "/etc/ukey": "ukey_conf_t",
    "/etc/ukey/keyservice.toml": "ukey_conf_t",
    "/etc/usbkey": "ukey_etc_t",
    "/run/ukey": "ukey_runtime_t",
    "/run/ukey/root.sock": "ukey_root_socket_t",
    "/run/ukey/user.sock": "ukey_user_socket_t",
    "/usr/lib/systemd/system/ukey-keyservice.service": "ukey_unit_t",
    "/usr/libexec/ukey/device-worker": "ukey_worker_exec_t",
    "/usr/libexec/ukey/keyservice": "ukey_keyservice_exec_t",
    "/var/lib/ukey": "ukey_var_lib_t",
}
#: what stays of it, as on a machine that never had it
WITHOUT = {
    "/etc/ukey": "etc_t",
    "/etc/ukey/keyservice.toml": "etc_t",
    "/etc/usbkey": "etc_t",
    "/etc/usbkey/alice": "etc_t",
}


def labels(guest: Guest, paths: dict[str, str]) -> dict[str, str]:
    told = guest.root(f"stat --format='%n %C' {' '.join(paths)}").stdout
    return {path: label.split(":")[2] for path, label in map(str.split, told.splitlines())}


def later(package: Path, folder: Path) -> bytes:
    """The same package with a later version."""
    must(["dpkg-deb", "--raw-extract", str(package), str(folder / "tree")])
    control = folder / "tree/DEBIAN/control"
    must(["sed", "-i", r"s/^Version: .*/&+later1/", str(control)])
    must(["dpkg-deb", "--build", "-Znone", str(folder / "tree"), str(folder / "later.deb")])
    return (folder / "later.deb").read_bytes()


@pytest.mark.long  # the emulated processor links the whole policy, twice
@pytest.mark.leaves("version")
def test_removal_install_and_upgrade(guest: Guest, alice: str, tmp_path: Path) -> None:
    _base, _disk, package, _logs = given()
    console = guest.console
    assert labels(guest, WITH) == WITH

    guest.root("dpkg --remove pam-ukey", seconds=200)
    assert "ukey\n" not in guest.root("semodule --list-modules").stdout
    assert labels(guest, WITHOUT) == WITHOUT
    assert console.login(alice, None)
    console.logout()

    guest.put(package.read_bytes(), "/root/pam-ukey.deb")
    guest.root("dpkg --install --force-confold /root/pam-ukey.deb", seconds=200)
    assert labels(guest, WITH) == WITH
    guest.root("pam-auth-update --enable ukey")
    # The binding outlived the package; nobody but the keyservice can see it again.
    assert alice in guest.root("ukey bindings").stdout
    assert console.login(alice, RIGHT)
    console.logout()

    guest.put(later(package, tmp_path), "/root/pam-ukey.deb")
    # dpkg labels what it unpacks, but not what it leaves as it is.
    guest.root("chcon -t etc_t /etc/ukey/keyservice.toml")
    guest.root("dpkg --install --force-confold /root/pam-ukey.deb", seconds=200)
    assert guest.root("dpkg-query --show pam-ukey").stdout.endswith("+later1\n")
    assert labels(guest, WITH) == WITH
    assert console.login(alice, RIGHT)
    console.logout()
    domains = guest.root("ps -C keyservice,device-worker -o label=").stdout
    assert {line.split(":")[2] for line in domains.splitlines()} == {
        "ukey_keyservice_t",
        "ukey_worker_t",
    }


@pytest.mark.long
@pytest.mark.denied  # what has no label is refused
def test_without_the_module_it_is_said_and_with_it_all_is_well(guest: Guest, alice: str) -> None:
    """As docs/selinux.md tells: to look at a record; and where the policy lacks the module."""
    module = "/usr/libexec/ukey/selinux-module"
    guest.root(f"systemctl stop {UNIT} && {module} unload", seconds=400)
    assert f'"user": "{alice}"' in guest.root(f"cat /etc/usbkey/{alice}").stdout
    guest.root(f"{module} load", seconds=400)
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()

    guest.root(f"{module} unload", seconds=400)
    guest.power_cut()
    guest.wait_prompt()
    guest.wait_ready()
    told = guest.root("ukey status", check=False)
    assert told.returncode == 3
    assert "SELinux enforces, and its module ukey is missing" in told.stderr
    guest.console.begin(alice, pin=False)
    assert not guest.console.shell_came()
    assert "SELinux enforces" in guest.root(f"getpubkey {alice}", check=False).stderr
    guest.root(f"{module} load", seconds=400)
    guest.wait_ukey()
    assert guest.root("ukey status").returncode == 0
    assert guest.console.login(alice, RIGHT)
    guest.console.logout()
