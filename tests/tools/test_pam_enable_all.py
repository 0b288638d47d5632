# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam enable --all`` by the real pam-auth-update, its undoing, and what may come between."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.support.enrolled import CONFIG, Enrolled
from tests.support.people import User
from tests.support.process import must, run
from tests.tools.enabling import PAM_D, SERVICES, UKEY, asked, refused
from tests.tools.running import only_json
from tools.exits import Exit


def test_all_by_pam_auth_update(debian: Enrolled, rescue: User) -> None:
    host, console = debian.host, debian.host.console()
    before = (PAM_D / "common-auth").read_bytes()
    assert b"pam_ukey" not in before
    status, told = refused("enable", "--all", "--dry-run")
    assert (status, told["files"]) == (0, ["/etc/pam.d/common-auth"])
    assert set(told["services"]) >= set(SERVICES)

    status, screen = asked(console, debian.right * 2, "enable", "--all", "--yes")
    assert status == 0, screen
    assert "+auth   [success=ok ignore=ignore default=die]" in screen  # its tabs are no "\\t"
    assert b"pam_ukey.so nouserok" in (PAM_D / "common-auth").read_bytes()
    assert not host.login(debian.user, [debian.user.password, "000000"]).allowed
    assert host.login(debian.user, debian.right).allowed

    status, screen = asked(console, [], "disable", "--all", "--yes")
    assert status == 0, screen
    assert (PAM_D / "common-auth").read_bytes() == before


def remembered() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("/var/lib/pam").iterdir()}


def test_what_undoes_all_takes_back_what_pam_auth_update_remembers(
    debian: Enrolled, rescue: User
) -> None:
    """Otherwise it would take common-auth for edited by hand, and change it no more."""
    debian.serve(CONFIG + '[services.login]\nfactors_from_afar = ["ukey"]\n')
    before, stack = remembered(), (PAM_D / "common-auth").read_bytes()
    answers = "".join(f"{answer}\n" for answer in debian.right * 2)
    done = run([UKEY, "pam", "enable", "--all", "--yes", "--json"], input=answers, seconds=90)
    told = only_json(done.stdout)
    assert told["changed"], told
    assert remembered() != before
    must(["/bin/sh", "-c", str(told["undo"])], env={"PATH": "/bin"})
    assert (remembered(), (PAM_D / "common-auth").read_bytes()) == (before, stack)
    again = run([UKEY, "pam", "enable", "--all", "--dry-run", "--json"], seconds=60)
    assert (again.returncode, only_json(again.stdout)["files"]) == (0, told["files"])


#: In /etc it opens the host; in a copy it does what it should. It knows '--root'.
_OTHERWISE = """\
#!/bin/sh
case "$*" in
*--root*) exec {real} "$@" ;;
esac
echo 'auth sufficient pam_permit.so' >/etc/pam.d/common-auth
{end}
"""


@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -9 $$"])
def test_another_result_in_etc_than_in_the_copy_is_taken_back(
    debian: Enrolled, rescue: User, tmp_path: Path, end: str
) -> None:
    """As of a profile that changed meanwhile, or of a run that was killed."""
    tool, real = Path("/usr/sbin/pam-auth-update"), tmp_path / "pam-auth-update"
    debian.host.keep(tool)
    shutil.copy2(tool, real)
    tool.write_text(_OTHERWISE.format(real=real, end=f"{end} # '--root'"))
    before = (PAM_D / "common-auth").read_bytes()
    console = debian.host.console()
    status, screen = asked(console, debian.right * 2, "enable", "--all", "--yes")
    assert (status, "Nothing was changed." in screen) == (Exit.FAILED, True), screen
    assert ("pam-auth-update: CalledProcessError" in screen) == (end != "exit 0"), screen
    assert (PAM_D / "common-auth").read_bytes() == before


def test_ssh_is_tried_by_the_keyservice_that_runs(debian: Enrolled, rescue: User) -> None:
    """The file allows it from afar, and nobody has restarted the keyservice since."""
    debian.serve("")
    debian.host.configure(f"allow_virtual_readers = true\n{CONFIG}")
    before = (PAM_D / "common-auth").read_bytes()
    answers = [*debian.right, debian.user.password]
    status, screen = asked(debian.host.console(), answers, "enable", "--all", "--yes")
    told = " ".join(screen.split())
    assert (status, "only an ssh key lets you in" in told) == (Exit.REFUSED, True), screen
    assert "systemctl restart ukey-keyservice" in told
    assert (PAM_D / "common-auth").read_bytes() == before


#: Ctrl-C comes when it has written half of its files.
_INTERRUPTED = """\
#!/bin/sh
case "$*" in
*--root*) exec {real} "$@" ;;
esac
before=$(cat /etc/pam.d/common-auth)
echo 'auth required pam_deny.so' >/etc/pam.d/common-auth
times={times}
while [ $times -gt 0 ]; do
    echo signal
    kill -INT -$(ps -o pgid= $PPID | tr -d ' ')
    sleep 0.3
    times=$((times - 1))
done
echo "$before" >/etc/pam.d/common-auth
exec {real} "$@"
"""


@pytest.mark.parametrize(("times", "enabled"), [(1, True), (2, False)])
def test_ctrl_c_in_the_middle_leaves_no_half(
    debian: Enrolled, rescue: User, tmp_path: Path, times: int, enabled: bool
) -> None:
    """The first waits for the end; after the second the files are as before."""
    tool, real = Path("/usr/sbin/pam-auth-update"), tmp_path / "pam-auth-update"
    debian.host.keep(tool)
    shutil.copy2(tool, real)
    tool.write_text(_INTERRUPTED.format(real=real, times=times) + "# '--root'\n")
    before = (PAM_D / "common-auth").read_bytes()
    status, screen = asked(debian.host.console(), debian.right * 2, "enable", "--all", "--yes")
    assert status == -signal.SIGINT, screen
    after = (PAM_D / "common-auth").read_bytes()
    assert (after != before, b"pam_ukey.so" in after) == (enabled, enabled)
    assert b"auth required pam_deny.so" not in after


def test_a_common_auth_that_was_changed_by_hand_is_left(debian: Enrolled, rescue: User) -> None:
    common = PAM_D / "common-auth"
    lines = common.read_text().splitlines(keepends=True)
    common.write_text("".join(line for line in lines if "pam-auth-update" not in line))
    status, told = refused("enable", "--all")
    assert (status, "changed by hand" in told["text"]) == (Exit.STACK, True)


def test_without_pam_auth_update_it_says_so(debian: Enrolled, rescue: User) -> None:
    """As on Red Hat's family: authselect is a stand-in here, which only has to be there."""
    tool, authselect = Path("/usr/sbin/pam-auth-update"), Path("/usr/bin/authselect")
    debian.host.keep(tool, authselect)
    tool.unlink()
    assert "neither pam-auth-update nor authselect" in refused("enable", "--all")[1]["text"]
    authselect.touch()
    status, told = refused("enable", "--all")
    assert (status, "authselect select" in told["text"]) == (Exit.FAILED, True)
