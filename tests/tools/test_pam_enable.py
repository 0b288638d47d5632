# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam enable`` and ``disable`` with the real stacks, keyservice, pcscd, ukeys and
pam-auth-update: what is wanted first, and that the real login is as it was promised."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pamedit.debian import STACKS
from tests.support.enrolled import CONFIG, Enrolled
from tests.support.people import User
from tests.support.process import Daemon, must, run
from tests.tools.enabling import DROP_IN, PAM_D, UKEY, asked, refused
from tests.tools.running import COMMANDS, only_json
from tools.exits import Exit
from tools.pamedit import files

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


def test_an_ssh_key_is_no_ukey_at_the_console(
    debian: Enrolled, rescue: User, tmp_path: Path
) -> None:
    must([COMMANDS["rmpubkey"], "--force", "--yes", debian.user.name])
    key = tmp_path / "key"
    must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    must([UKEY, "ssh-key", "add", debian.user.name, "--from-file", f"{key}.pub"])
    status, told = refused("enable", "login", "su", "--dry-run")
    assert (status, "Nobody who can log in has a ukey" in told["text"]) == (Exit.NOT_BOUND, True)
    status, told = refused("enable", "sshd", "--dry-run")
    assert "Nobody who can log in" not in told.get("text", "")


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
