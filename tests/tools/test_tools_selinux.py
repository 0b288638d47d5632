# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Whether the module of SELinux is missing where it enforces.

The kernel under these tests has no SELinux: the labels here are made up. The guest's tests have
real ones.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.tools.scripted import Keyservice
from tests.tools.scripted_bus import BusService
from tests.tools.test_tools_status import STATUS
from tools import selinux
from tools.command import Failure
from tools.exits import Exit
from tools.ukey import status

LABELS = {
    "ours": (b"system_u:object_r:ukey_root_socket_t:s0\0", False),
    "ours, without levels": (b"system_u:object_r:ukey_root_socket_t\0", False),
    "of any file there": (b"system_u:object_r:var_run_t:s0\0", True),
    "unknown to the policy": (b"system_u:object_r:unlabeled_t:s0\0", True),
    "nearly ours": (b"system_u:object_r:ukey_root_socket_t2:s0\0", True),
    "out of sight": (None, None),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("enforces", [True, False])
def test_whether_it_is_missing(monkeypatch: pytest.MonkeyPatch, name: str, enforces: bool) -> None:
    label, missing = LABELS[name]

    def getxattr(path: str, attribute: str) -> bytes:
        assert (path, attribute) == ("root.sock", "security.selinux")
        if label is None:
            raise OSError(errno.EACCES, "")
        return label

    monkeypatch.setattr(os, "getxattr", getxattr)
    monkeypatch.setattr(selinux, "enforces", lambda: enforces)
    assert selinux.module_missing("root.sock") is (missing if enforces else False)


@pytest.mark.parametrize(("content", "enforces"), [(b"1", True), (b"0\n", False), (b"", False)])
def test_whether_it_enforces(tmp_path: Path, content: bytes, enforces: bool) -> None:
    (tmp_path / "enforce").write_bytes(content)
    assert selinux.enforces(tmp_path / "enforce") is enforces
    assert not selinux.enforces(tmp_path / "nothing")


@pytest.mark.parametrize("with_bus", [True, False])
def test_the_status_tells_it_first(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, with_bus: bool
) -> None:
    """All other faults follow from it."""
    if with_bus:
        bus = request.getfixturevalue("bus")
        bus.answers["Status"] = {**STATUS, "pcscd": False}
    monkeypatch.setattr(selinux, "module_missing", lambda: True)
    with pytest.raises(Failure) as failure:
        status.command(["--json"])
    assert failure.value.exit is Exit.UNREACHABLE
    assert failure.value.text == selinux.MISSING
    assert failure.value.facts["selinux_module_missing"] is True


@pytest.mark.parametrize(
    ("domain", "enforces"), [("initrc_t", True), ("initrc_t", False), ("ukey_keyservice_t", True)]
)
def test_a_service_in_another_domain_is_as_bad(
    monkeypatch: pytest.MonkeyPatch,
    bus: BusService,
    service: Keyservice,
    domain: str,
    enforces: bool,
) -> None:
    bus.answers["Status"] = {**STATUS, "selinux": domain}
    monkeypatch.setattr(selinux, "enforces", lambda: enforces)
    monkeypatch.setattr(selinux, "module_missing", lambda: False)
    if domain == "initrc_t" and enforces:
        with pytest.raises(Failure, match="logins with a ukey fail"):
            status.command(["--json"])
    else:
        assert status.command(["--json"]) is Exit.OK
