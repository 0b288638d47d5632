# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The domain that SELinux runs the keyservice in, told apart from other security modules' labels.

The guest's tests ask the real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.core import selinux

LABELS = {
    "confined": (b"system_u:system_r:ukey_keyservice_t:s0\0", "ukey_keyservice_t"),
    "with categories": (b"staff_u:sysadm_r:sysadm_t:s0-s0:c0.c1023,c1025\n", "sysadm_t"),
    "without levels": (b"system_u:system_r:init_t", "init_t"),
    "no policy loaded": (b"kernel\0", None),
    "AppArmor": (b"unconfined\n", None),
    "AppArmor's profile": (b"/usr/sbin/cupsd (enforce)\n", None),
    "AppArmor's namespace": (b":lxd://keyservice (enforce)\n", None),
    "no text": (b"\xff:\xff:\xff:\xff", None),
    "empty": (b"", None),
}


@pytest.mark.parametrize("name", LABELS)
def test_the_type_of_a_label(tmp_path: Path, name: str) -> None:
    label, expected = LABELS[name]
    (tmp_path / "current").write_bytes(label)
    assert selinux.domain(tmp_path / "current") == expected


def test_no_label(tmp_path: Path) -> None:
    assert selinux.domain(tmp_path / "current") is None
