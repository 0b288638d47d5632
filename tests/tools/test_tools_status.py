# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey status`` against a scripted keyservice on the real system bus and the real socket."""

from __future__ import annotations

import pexpect
import pytest

from tests.tools.running import Commands, only_json
from tests.tools.scripted import Keyservice
from tests.tools.scripted_bus import BusService

STATUS = {
    "version": "0.1",
    "sm2_engine": "openssl",
    "allow_virtual_readers": False,
    "shared_pcsc": False,
    "selinux": "ukey_keyservice_t",
    "readers": 2,
    "pcscd": True,
    "bindings": 3,
    "refused_bindings": 0,
    "damaged_records": 0,
    "revocations": 1,
    "sessions": 0,
}


def test_status_of_a_sound_service(
    commands: Commands, bus: BusService, service: Keyservice
) -> None:
    bus.answers["Status"] = STATUS
    done = commands.piped("ukey", "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Keyservice:      0.1\n" in done.stdout
    assert "Emulated" not in done.stdout
    assert "Refused" not in done.stdout
    assert only_json(commands.piped("ukey", "status", "--json").stdout) == {
        **STATUS,
        "damaged_path": None,
        "why": None,
        "selinux_module_missing": False,
        "socket": True,
        "ok": True,
    }


def test_status_of_a_missing_folder_says_so_and_shows_the_rest(
    commands: Commands, bus: BusService, service: Keyservice
) -> None:
    gone = {"damaged_records": 1, "damaged_path": "/etc/usbkey", "why": "ENOENT"}
    bus.answers["Status"] = {key: value for key, value in STATUS.items() if key != "bindings"}
    bus.answers["Status"] |= gone
    done = commands.piped("ukey", "status")
    assert done.returncode == 12
    for line in (
        "Readers:         2",
        "Bindings:        -",
        "Damaged records: 1 (/etc/usbkey: No such file or directory)",
        "Revoked keys:    1",
        "Open sessions:   0",
    ):
        assert f"{line}\n" in done.stdout
    chinese = commands.piped("ukey", "status", environment={"LANG": "zh_CN.UTF-8"})
    assert "(/etc/usbkey: 没有那个文件或目录)" in chinese.stdout.replace("（", "(").replace(
        "）", ")"
    )
    answer = only_json(commands.piped("ukey", "status", "--json").stdout)
    assert gone.items() <= answer.items()


def test_status_tells_of_bindings_that_the_policy_refuses(
    commands: Commands, bus: BusService, service: Keyservice
) -> None:
    bus.answers["Status"] = {**STATUS, "refused_bindings": 2}
    done = commands.piped("ukey", "status")
    assert done.returncode == 0
    assert "Refused:         2: policy.algorithms does not accept their keys\n" in done.stdout


def test_status_shows_emulated_readers_in_red(
    commands: Commands, bus: BusService, service: Keyservice
) -> None:
    bus.answers["Status"] = {**STATUS, "allow_virtual_readers": True}
    child = commands.on_terminal("ukey", "status", width=120)
    child.expect(pexpect.EOF)
    assert "Emulated readers: \x1b[1;31mALLOWED" in str(child.before)
    child = commands.on_terminal("ukey", "status", width=120, NO_COLOR="1")
    child.expect(pexpect.EOF)
    assert "\x1b" not in str(child.before)
    assert "\x1b" not in commands.piped("ukey", "status").stdout


def test_status_says_that_readers_are_shared(
    commands: Commands, bus: BusService, service: Keyservice
) -> None:
    for shared in (True, False):
        bus.answers["Status"] = {**STATUS, "shared_pcsc": shared}
        shown = commands.piped("ukey", "status").stdout
        assert ("Reader access:   SHARED: any program can block the readers" in shown) is shared


@pytest.mark.parametrize(
    ("selinux", "line"),
    [
        ("ukey_keyservice_t", "SELinux:         confines the keyservice\n"),
        ("unconfined_service_t", "SELinux:         DOES NOT CONFINE the keyservice: "),
        (None, ""),
    ],
)
def test_status_tells_whether_selinux_confines_the_keyservice(
    commands: Commands, bus: BusService, service: Keyservice, selinux: str | None, line: str
) -> None:
    bus.answers["Status"] = {key: value for key, value in STATUS.items() if key != "selinux"}
    if selinux is not None:
        bus.answers["Status"]["selinux"] = selinux
    done = commands.piped("ukey", "status")
    assert done.returncode == 0
    assert line in done.stdout
    assert ("SELinux" in done.stdout) is bool(line)
    assert only_json(commands.piped("ukey", "status", "--json").stdout)["selinux"] == selinux


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"pcscd": False}, 7, "pcscd does not answer"),
        ({"damaged_records": 2}, 12, "damaged or gone"),
    ],
)
def test_status_exits_with_what_is_wrong(
    commands: Commands,
    bus: BusService,
    service: Keyservice,
    change: dict[str, int],
    status: int,
    words: str,
) -> None:
    bus.answers["Status"] = {**STATUS, **change}
    done = commands.piped("ukey", "status")
    assert done.returncode == status
    assert words in done.stderr
    assert "Keyservice" in done.stdout
    document = only_json(commands.piped("ukey", "status", "--json").stdout)
    assert (document["ok"], document["status"]) == (False, status)
    assert document["version"] == "0.1"


def test_status_without_the_socket(commands: Commands, bus: BusService) -> None:
    bus.answers["Status"] = STATUS
    done = commands.piped("ukey", "status")
    assert done.returncode == 3
    assert "socket does not answer" in done.stderr
