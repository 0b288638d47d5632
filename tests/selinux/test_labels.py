# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which file gets which type."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.process import must

pytestmark = pytest.mark.timeout(600)

LABELS = (
    ("/usr/libexec/ukey/keyservice", "file", "ukey_keyservice_exec_t"),
    ("/usr/libexec/ukey/device-worker", "file", "ukey_worker_exec_t"),
    # These run in their caller's domain.
    ("/usr/libexec/ukey/breakglass", "file", "bin_t"),
    ("/usr/libexec/ukey/in-use", "file", "bin_t"),
    ("/usr/libexec/ukey/selinux-module", "file", "bin_t"),
    ("/usr/libexec/ukey/glass-console", "file", "bin_t"),
    ("/usr/libexec/ukey/users-may", "file", "bin_t"),
    ("/usr/lib/systemd/system-generators/ukey-generator", "file", "systemd_generator_exec_t"),
    ("/usr/sbin/getpubkey", "file", "bin_t"),
    ("/usr/bin/ukey", "file", "bin_t"),
    ("/usr/lib/ukey/keyservice/__main__.py", "file", "lib_t"),
    ("/usr/lib/ukey/vendor/dbus_fast/message.py", "file", "lib_t"),
    ("/usr/lib/x86_64-linux-gnu/security/pam_ukey.so", "file", "lib_t"),
    ("/etc/usbkey", "dir", "ukey_etc_t"),
    ("/etc/usbkey/alice", "file", "ukey_etc_t"),
    ("/etc/ukey", "dir", "ukey_conf_t"),
    ("/etc/ukey/keyservice.toml", "file", "ukey_conf_t"),
    ("/var/lib/ukey", "dir", "ukey_var_lib_t"),
    ("/var/lib/ukey/revoked", "file", "ukey_var_lib_t"),
    ("/run/ukey", "dir", "ukey_runtime_t"),
    ("/run/ukey/root.sock", "socket", "ukey_root_socket_t"),
    ("/run/ukey/user.sock", "socket", "ukey_user_socket_t"),
    ("/usr/lib/systemd/system/ukey-keyservice.service", "file", "ukey_unit_t"),
    ("/lib/systemd/system/ukey-keyservice-user.socket", "file", "ukey_unit_t"),
)
KINDS = {"file": "--", "dir": "-d", "socket": "-s"}


@pytest.mark.parametrize(("path", "kind", "label"), LABELS, ids=[each[0] for each in LABELS])
def test_a_file_gets_its_type(store: Path, path: str, kind: str, label: str) -> None:
    contexts = store / "etc/selinux/default/contexts/files/file_contexts"
    told = must(["selabel_lookup", "-b", "file", "-f", contexts, "-k", path, "-t", KINDS[kind]])
    assert f":{label}:" in told


def test_the_programs_of_the_domains_are_installed_where_labels_are_given() -> None:
    """Under another name they would run in their starter's domain, or not at all."""
    for path, _, label in LABELS:
        if label.startswith("ukey_") and label.endswith("_exec_t"):
            assert Path(path).stat().st_mode & 0o111
            assert Path(path).read_text().startswith("#!/usr/bin/python3 -IB\n")


@pytest.mark.parametrize("path", [path for path, _, label in LABELS if label.startswith("ukey_")])
def test_the_package_s_script_labels_it(path: str) -> None:
    script = (CHECKOUT / "data/libexec/selinux-module").read_text().replace("\\\n", " ")
    (named,) = re.findall("^ *restorecon -R -i (.*)$", script, re.MULTILINE)
    path = re.sub("^/lib/", "/usr/lib/", path)
    assert any(
        fnmatchcase(str(each), pattern)
        for each in (Path(path), *Path(path).parents)
        for pattern in named.split()
    )
