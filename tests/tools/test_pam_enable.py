# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam enable`` and ``disable`` with the real stacks, keyservice, pcscd, ukeys and
pam-auth-update: what is wanted first, and that the real login is as it was promised."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pamedit.debian import STACKS
from tests.support import CHECKOUT
from tests.support.enrolled import CONFIG, Enrolled
from tests.support.people import User
from tests.support.process import Daemon, must, run
from tests.support.shared_host import Shared
from tests.support.terminal import Terminal
from tests.tools.running import COMMANDS, only_json
from tools.exits import Exit
from tools.pamedit import files

PAM_D = Path("/etc/pam.d")
DROP_IN = Path("/etc/ssh/sshd_config.d/10-ukey.conf")
SERVICES = ("login", "su", "sshd")
UKEY = COMMANDS["ukey"]


@pytest.fixture
def buses() -> list[Daemon]:
    """The system bus that a test runs on."""
    return []


@pytest.fixture
def debian(shared: Shared, buses: list[Daemon]) -> Iterator[Enrolled]:
    """Debian's own stacks, and the system bus."""
    with shared.test(CONFIG) as made:
        for service in SERVICES:
            made.host.pam.stack(service, STACKS[service])
        made.host.keep(*(path for path in PAM_D.iterdir() if path.is_file()))
        made.host.keep(*(path for path in Path("/var/lib/pam").iterdir() if path.is_file()))
        Path("/run/sshd").mkdir(exist_ok=True)  # without it, sshd tells nothing of itself
        made.host.keep(DROP_IN)
        shutil.copy(CHECKOUT / "pam.d-examples/sshd_config.d/10-ukey.conf", DROP_IN)
        buses.append(made.bus())
        yield made
        shutil.rmtree(files.BACKUPS, ignore_errors=True)
        run(["rmdir", "/var/backups/ukey"])


@pytest.fixture
def rescue(debian: Enrolled) -> User:
    """The second way in."""
    if run(["getent", "group", "ukey-breakglass"]).returncode:
        must(["groupadd", "--system", "ukey-breakglass"])
    return debian.host.user("rescue", groups=["ukey-breakglass"])


def asked(terminal: Terminal, answers: list[str], *words: str) -> tuple[int, str]:
    """The exit status, and all that was on the screen."""
    terminal.start([UKEY, "pam", *words])
    terminal.converse(answers, seconds=50)
    assert terminal.status is not None
    return terminal.status, terminal.screen


def refused(*words: str) -> tuple[int, dict[str, Any]]:
    """Of a run that asks nothing, and changes nothing."""
    before = {path: path.read_bytes() for path in PAM_D.iterdir()}
    done = run([UKEY, "pam", *words, "--json"], seconds=50)
    assert {path: path.read_bytes() for path in PAM_D.iterdir()} == before
    assert not files.BACKUPS.exists()
    return done.returncode, only_json(done.stdout)


# -- what it wants first


def test_a_second_way_in_is_wanted_first(debian: Enrolled) -> None:
    status, told = refused("enable", "login")
    assert status == Exit.STACK
    assert "no second way in" in told["text"]


def test_a_member_without_a_password_is_no_second_way(debian: Enrolled, rescue: User) -> None:
    must(["usermod", "--lock", rescue.name])
    assert "no second way in" in refused("enable", "login")[1]["text"]


def test_two_enrolled_administrators_are_a_second_way(debian: Enrolled) -> None:
    host = debian.host
    must(["usermod", "--append", "--groups", "sudo", debian.user.name])
    assert refused("enable", "login", "--dry-run")[0] == Exit.STACK
    other = host.user("alice", groups=["sudo"])
    ukey = host.softkey(slot=1)
    host.bind(other, ukey)
    status, told = refused("enable", "login", "--dry-run")
    assert (status, told["ok"], told["changed"]) == (0, True, False)
    assert "+auth [success=ok default=die]             pam_ukey.so" in told["diff"]


def test_somebody_has_to_be_enrolled(debian: Enrolled, rescue: User) -> None:
    done = run([COMMANDS["rmpubkey"], debian.user.name], input=f"{debian.pin}\n")
    assert done.returncode == 0, done.stderr
    status, told = refused("enable", "login")
    assert (status, "Nobody who can log in has a ukey" in told["text"]) == (Exit.NOT_BOUND, True)


def test_the_keyservice_has_to_answer(debian: Enrolled, rescue: User, buses: list[Daemon]) -> None:
    debian.keyservice.stop()
    buses[0].stop()  # which would start it
    assert refused("enable", "login")[0] == Exit.UNREACHABLE


def test_ssh_has_to_be_allowed_from_afar(debian: Enrolled, rescue: User) -> None:
    debian.serve(CONFIG.replace('factors_from_afar = ["ukey"]', "factors_from_afar = []"))
    status, told = refused("enable", "sshd")
    assert status == Exit.STACK
    assert [(each["service"], each["kind"]) for each in told["findings"]] == [("sshd", "from-afar")]
    assert refused("enable", "login", "--dry-run")[0] == 0


@pytest.mark.parametrize("words", [["sshd"], ["--all"]])
def test_sshd_has_to_pass_prompts_on(debian: Enrolled, rescue: User, words: list[str]) -> None:
    """Debian's own settings do not: nobody with a ukey would get in by ssh."""
    DROP_IN.unlink()
    status, told = refused("enable", *words)
    assert (status, told["findings"][0]["service"]) == (Exit.STACK, "sshd")
    assert "none of PAM's prompts" in told["findings"][0]["text"]


def test_what_is_not_understood_is_told(debian: Enrolled, rescue: User) -> None:
    debian.host.pam.stack("login", STACKS["login"] + "auth required pam_other.so\n")
    status, told = refused("enable", "login")
    assert (status, "/etc/pam.d/login:8" in told["text"]) == (Exit.STACK, True)
    assert refused("enable", "no-such-service")[0] == Exit.USAGE
    done = run([UKEY, "pam", "enable", "common-auth"])
    assert (done.returncode, "--all" in done.stderr) == (Exit.USAGE, True)


def test_a_stack_that_is_a_link_is_told_as_that(debian: Enrolled, rescue: User) -> None:
    """What would be changed by its other name is not known."""
    login, other = PAM_D / "login", debian.host.folder / "elsewhere"
    other.write_text(STACKS["login"])
    login.unlink()
    login.symlink_to(other)
    status, told = refused("enable", "login")
    login.unlink()
    login.write_text(STACKS["login"])
    assert (status, "it is a link" in told["text"]) == (Exit.STACK, True)


def test_what_sshd_lets_in_without_pam_is_warned_of(debian: Enrolled, rescue: User) -> None:
    DROP_IN.write_text("PasswordAuthentication no\nKbdInteractiveAuthentication yes\n")
    status, told = refused("enable", "sshd", "--dry-run")
    assert (status, told["ok"]) == (0, True)
    assert any("A public key alone lets in anybody" in each for each in told["warnings"])
    done = run([UKEY, "pam", "enable", "sshd", "--dry-run"], seconds=50)
    assert "A public key alone lets in anybody" in done.stderr
    assert refused("enable", "login", "--dry-run")[1]["warnings"] == []


def test_disable_asks_what_is_true(debian: Enrolled, rescue: User) -> None:
    """The password alone lets people in then; not if common-auth asks for the ukey as well."""
    debian.serve(CONFIG + "[services.login]\nfactors_from_afar = ['ukey']\n")
    answers = "".join(f"{answer}\n" for answer in debian.right)
    must([UKEY, "pam", "enable", "login", "--yes"], input=answers, seconds=60)
    done = run([UKEY, "pam", "disable", "login"], input="n\n", seconds=60)
    assert "The password alone lets people in by login then." in done.stderr
    common = PAM_D / "common-auth"
    lines = "auth requisite pam_unix.so\nauth [success=done default=die] pam_ukey.so"
    common.write_text(re.sub(r"(?m)^auth\s.*pam_unix.so.*$", lines, common.read_text()))
    done = run([UKEY, "pam", "disable", "login"], input="n\n", seconds=60)
    assert "Other lines still ask enrolled people for the ukey by login." in done.stderr
    assert "password alone" not in done.stderr


def test_disable_of_what_was_not_enabled_has_nothing_to_do(debian: Enrolled) -> None:
    assert refused("disable", "sshd")[1]["ok"]


def test_root_alone_may(debian: Enrolled) -> None:
    done = run(["setpriv", "--reuid=65534", "--clear-groups", UKEY, "pam", "enable", "login"])
    assert done.returncode == Exit.NOT_ALLOWED


# -- the try, the question, the change


def test_login_from_end_to_end(debian: Enrolled, rescue: User) -> None:
    """The PIN of the try, a real login, and all of it back."""
    host, console = debian.host, debian.host.console()
    before = (PAM_D / "login").read_bytes()
    (PAM_D / "login").chmod(0o640)
    enable = ("enable", "login", "--yes")

    status, screen = asked(console, [debian.user.password, "000000"], *enable)
    assert (status, "The login would be refused" in screen) == (Exit.REFUSED, True), screen
    assert (PAM_D / "login").read_bytes() == before

    status, screen = asked(console, debian.right, *enable)
    assert status == 0, screen
    assert "-@include common-auth" in screen
    assert (PAM_D / "login").stat().st_mode & 0o777 == 0o640
    assert not host.login(debian.user, [debian.user.password, "000000"]).allowed
    assert host.login(debian.user, debian.right).allowed
    found = re.search(r"cp -a \S+ /etc/pam\.d/", " ".join(screen.split()))
    assert found, screen
    enabled = (PAM_D / "login").read_bytes()
    must(["/bin/sh", "-c", found[0]], env={"PATH": "/bin"})
    assert (PAM_D / "login").read_bytes() == before
    assert (PAM_D / "login").stat().st_mode & 0o777 == 0o640

    # And by the command, which needs no keyservice.
    (PAM_D / "login").write_bytes(enabled)
    debian.keyservice.stop()
    with locked_by_nobody(PAM_D):
        done = run([UKEY, "pam", "disable", "login"], input="y\n", seconds=50)
    assert (done.returncode, "password alone" in done.stderr) == (0, True), done.stderr
    assert (PAM_D / "login").read_bytes() == before


@contextmanager
def locked_by_nobody(folder: Path) -> Iterator[None]:
    """Nobody holds a lock on the folder, which they can read."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    holder = [*nobody, "flock", str(folder), "sh", "-c", "echo; exec cat"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        assert held.stdin is not None and held.stdout is not None
        assert held.stdout.read(1) == b"\n"
        yield
        held.stdin.close()


def test_no_is_no(debian: Enrolled, rescue: User) -> None:
    debian.serve(CONFIG + "[services.login]\nfactors_from_afar = ['ukey']\n")
    before = (PAM_D / "login").read_bytes()
    answers = "".join(f"{answer}\n" for answer in (*debian.right, "n"))
    done = run([UKEY, "pam", "enable", "login"], input=answers, seconds=50)
    assert (done.returncode, "Nothing was changed." in done.stderr) == (Exit.CANCELLED, True)
    assert (PAM_D / "login").read_bytes() == before
    assert not files.BACKUPS.exists()


def test_ssh_and_su_at_once(debian: Enrolled, rescue: User) -> None:
    console = debian.host.console()
    answers = [*debian.right, *debian.right]
    status, screen = asked(console, answers, "enable", "sshd", "su", "--yes")
    assert status == 0, screen
    debian.sshd()
    assert debian.host.ssh(debian.user, debian.right).allowed
    assert not debian.host.ssh(debian.user, [debian.user.password, "000000"]).allowed


def test_a_login_by_an_ssh_key_is_left_to_ssh(debian: Enrolled, rescue: User) -> None:
    """Nothing but ssh can show a key. The first auth line takes down which one it was."""
    debian.serve(CONFIG.replace('factors_from_afar = ["ukey"]', 'factors_from_afar = ["ssh-key"]'))
    done = run([UKEY, "pam", "enable", "sshd", "--yes", "--user", debian.user.name], seconds=60)
    assert done.returncode == 0, done.stderr
    assert "only ssh itself shows a key" in done.stderr
    lines = (PAM_D / "sshd").read_text().splitlines()
    auth = [line for line in lines if line.startswith(("auth", "@include"))]
    assert auth[0].split() == ["auth", "optional", "pam_ukey.so", "take_ssh_key"]
    done = run([UKEY, "pam", "disable", "sshd", "--yes"], seconds=60)
    assert done.returncode == 0, done.stderr
    assert (PAM_D / "sshd").read_text() == STACKS["sshd"]


def test_a_line_before_the_one_that_takes_the_key_forbids_it(
    debian: Enrolled, rescue: User
) -> None:
    debian.serve(CONFIG.replace('factors_from_afar = ["ukey"]', 'factors_from_afar = ["ssh-key"]'))
    (PAM_D / "sshd").write_text("auth required pam_env.so\n" + STACKS["sshd"])
    status, told = refused("enable", "sshd")
    assert status == Exit.STACK
    assert "ssh-key-not-taken" in {each["kind"] for each in told["findings"]}


def test_a_program_may_say_yes(debian: Enrolled, rescue: User) -> None:
    debian.serve(CONFIG + "[services.login]\nfactors_from_afar = ['ukey']\n")
    answers = "".join(f"{answer}\n" for answer in debian.right)
    done = run([UKEY, "pam", "enable", "login", "--yes", "--json"], input=answers, seconds=60)
    told = only_json(done.stdout)
    assert (done.returncode, told["changed"], told["files"]) == (0, True, ["/etc/pam.d/login"])
    assert told["undo"] == f"cp -a {told['backup']}/* /etc/pam.d/"
    again = run([UKEY, "pam", "enable", "login", "--json"], seconds=60)
    assert (again.returncode, only_json(again.stdout)["changed"]) == (0, False)


def test_who_tries_it_has_to_be_said_where_several_can(debian: Enrolled, rescue: User) -> None:
    status, told = refused("enable", "login", "--user", "rescue")
    assert (status, "cannot try it" in told["text"]) == (Exit.USAGE, True)


# -- all services at once


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
