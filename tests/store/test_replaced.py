# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A folder of records that is replaced while the service runs, which sees the host as systemd shows
it: /etc read-only, and the folder that was there at the start mounted to be written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import CHECKOUT

_SERVICE = """
import json, sys
from pathlib import Path
from keyservice.core.errors import UkeyError
from keyservice.store.files import PrivateDirectory
from keyservice.store.state import State
from tests.store.conftest import binding
records, state = (PrivateDirectory(Path(each)) for each in sys.argv[1:])
kept = State(records, state, "0" * 32)
kept.start()
kept.bindings.add(binding())
def say(told):
    print(json.dumps(told), flush=True)
say([])
for line in sys.stdin:
    try:
        kept.bindings.add(binding("bob", 1001, "SN2", 2))
        told = []
    except UkeyError as error:
        told = [error.facts["path"], error.facts["why"]]
    inventory = kept.inventory()
    damaged = [[each.facts["path"], each.facts["why"]] for each in inventory.damaged]
    say([told, [each.user for each in inventory.bindings], damaged])
"""
_MOUNT = """
set -e
mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"
mount --bind "$1/usbkey" "$1/usbkey"; mount -o remount,bind,rw "$1/usbkey"
shift
exec "$@"
"""


@pytest.mark.parametrize("how", ["replaced", "kept", "unmounted"])
def test_a_folder_that_was_replaced_is_told_with_the_remedy(tmp_path: Path, how: str) -> None:
    etc, state = tmp_path / "etc", tmp_path / "state"
    records = etc / "usbkey"
    records.mkdir(0o700, parents=True)
    state.mkdir(0o700)
    service = [sys.executable, "-c", _SERVICE, str(records), str(state)]
    mounted = ["unshare", "-m", "sh", "-c", _MOUNT, "sh", str(etc), *service]
    with subprocess.Popen(
        service if how == "unmounted" else mounted,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stdout.readline() == "[]\n"
        if how != "kept":
            records.rename(etc / "old")
            shutil.copytree(etc / "old", records)
            records.chmod(0o700)
        running.stdin.write("\n")
        running.stdin.flush()
        told, users, damaged = json.loads(running.stdout.readline())
        running.stdin.close()
    if how == "replaced":
        assert told == [str(records), "replaced"]
        assert users == ["alice"]
        assert damaged == [[str(records), "replaced"]]
    else:
        assert (told, users, damaged) == ([], ["alice", "bob"], [])
