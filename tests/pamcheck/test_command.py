# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""``ukey pam check`` as people and programs run it."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pexpect
import pytest

from tests.pamcheck.hosts import STRICT_STACK as STRICT
from tests.pamcheck.hosts import Host, services
from tests.support import CHECKOUT
from tests.support.authlog import Authlog
from tests.support.doors import open_to_others
from tests.support.process import must, run
from tests.tools.running import Commands, only_json
from tools.exits import Exit
from tools.pamcheck.finding import Severity
from tools.pamcheck.world import Password, Ukey

TEXTBOOK = "auth required pam_unix.so\nauth sufficient pam_ukey.so\n"
EXAMPLE = CHECKOUT / "pam.d-examples/debian/helpful/login"
NOBODY = 65534
FOLDERS = "ukey-pam-check-*"


def left_over() -> list[Path]:
    return [path for base in ("/run", "/tmp") for path in Path(base).glob(FOLDERS)]


def test_json_of_a_host(commands: Commands, place: Host) -> None:
    place.write(
        {"login": STRICT, "sshd": TEXTBOOK, "cron": TEXTBOOK, "other": "auth required x.so"}
    )
    place.write({"sshd.dpkg-old": STRICT, "common-auth": STRICT, "Login": STRICT})
    words = ("--root", str(place.root), "--stacks-only", "--json")
    done = commands.piped("ukey", "pam", "check", *words)
    assert done.returncode == Exit.STACK
    document = only_json(done.stdout)
    assert document["ok"] is False and document["status"] == Exit.STACK
    assert document["around"] is None
    found = services(done.stdout)
    assert [each["service"] for each in found] == ["login", "other", "sshd"]
    assert [each["who"] for each in found][::2] == ["password and ukey", "password alone"]
    for each in found:
        assert set(each) == {"service", "file", "who", "table", "root_passes", "findings"}
        assert set(each["table"]) == {password.value for password in Password}
        for row in each["table"].values():
            assert set(row) == {ukey.value for ukey in Ukey}
            assert all(set(cell) == {"verdict", "on"} for cell in row.values())
        for finding in each["findings"]:
            assert set(finding) == {"kind", "severity", "place", "text", "remedy", "line"}
            assert finding["severity"] in set(Severity)
    [alone] = found[2]["findings"]
    assert alone["kind"] == "password-alone"
    assert alone["place"] == f"{place.pam_d}/sshd:2"
    assert alone["text"].startswith("the password alone lets an enrolled user in")
    assert alone["line"] == "auth [success=ok default=die] pam_ukey.so"


def test_all_of_a_host_as_people_read_it(commands: Commands, place: Host) -> None:
    """One line for each service, each finding once, and setuid programs that nobody logs in by."""
    place.write({"common-auth": TEXTBOOK, "sshd": STRICT})
    place.write(dict.fromkeys(("login", "su", "polkit-1"), "@include common-auth\n"))
    place.write({"passwd": "password required pam_python.so /opt/quality.py\n"})
    done = commands.piped("ukey", "pam", "check", "--stacks-only", "--root", str(place.root))
    assert done.returncode == Exit.STACK
    assert [line.split()[0] for line in done.stdout.splitlines()[:6]] == [
        "SERVICE",
        "login",
        "polkit-1",
        "sshd",
        "su",
        "passwd",
    ]
    assert done.stdout.count("The password alone lets an enrolled user in") == 1
    assert "Services: login, polkit-1, su\n" in done.stdout
    assert done.stdout.count(f"OPEN  {place.pam_d}/common-auth:2\n") == 1
    assert (
        "An interpreter in the stack of a setuid program: pam_python.so in passwd." in done.stdout
    )
    assert "2 findings to mend." in done.stderr


def test_exit_statuses(commands: Commands, place: Host) -> None:
    root = ("--root", str(place.root))
    assert commands.piped("ukey", "pam", "check", str(EXAMPLE)).returncode == Exit.OK
    nothing = commands.piped("ukey", "pam", "check", *root)
    assert nothing.returncode == Exit.USAGE
    assert str(place.pam_d) in nothing.stderr
    place.write({"login": STRICT, "sshd": TEXTBOOK})
    assert commands.piped("ukey", "pam", "check", *root, "login").returncode == Exit.OK
    assert commands.piped("ukey", "pam", "check", *root, "sshd", "--stacks-only").returncode == 13
    unknown = commands.piped("ukey", "pam", "check", *root, "no-such")
    assert unknown.returncode == Exit.USAGE
    assert "There is no service 'no-such'." in unknown.stderr
    missing = commands.piped("ukey", "pam", "check", *root, "/no/such")
    assert missing.returncode == Exit.USAGE
    assert "/no/such" in missing.stdout + missing.stderr


def test_json_is_one_object_whatever_happens(commands: Commands, place: Host) -> None:
    place.write({"login": STRICT, "binary": bytes(range(256)) * 9, "latin": "auth r\xe9quired x\n"})
    for words in (["login"], ["binary"], ["latin"], ["nothing"], [], ["/no/such"]):
        done = commands.piped(
            "ukey", "pam", "check", "--json", "--stacks-only", "--root", str(place.root), *words
        )
        assert isinstance(only_json(done.stdout)["ok"], bool), words


def test_a_file_is_named_with_a_slash_or_lies_here(commands: Commands, place: Host) -> None:
    script = f"cd {place.pam_d} && ukey pam check {{}} --json"
    place.write({"mine": TEXTBOOK})
    for word in ("./mine", "mine", str(place.pam_d / "mine")):
        done = commands.shell(script.format(word))
        assert done.returncode == Exit.STACK, done.stderr
        assert services(done.stdout)[0]["service"] == "mine"


def test_what_a_file_includes_is_looked_for_beside_it(commands: Commands, place: Host) -> None:
    """Two files that are to be copied together are judged together."""
    place.write({"common-auth": STRICT, "sshd": "@include common-auth\n"})
    done = commands.piped("ukey", "pam", "check", str(place.pam_d / "sshd"), "--json")
    assert services(done.stdout)[0]["who"] == "password and ukey"


def test_an_unprivileged_user_sees_the_same(commands: Commands) -> None:
    words = ("ukey", "pam", "check", "--json", "--stacks-only", "login", "su")
    assert commands.piped(*words, user=NOBODY).stdout == commands.piped(*words).stdout
    whole = commands.piped("ukey", "pam", "check", "--stacks-only", user=NOBODY)
    assert whole.returncode == Exit.STACK
    assert "the password alone" in whole.stdout


def test_a_service_is_shown_with_its_own_ways_around(commands: Commands) -> None:
    whole = only_json(commands.piped("ukey", "pam", "check", "--json").stdout)["around"]
    su = only_json(commands.piped("ukey", "pam", "check", "su", "--json").stdout)["around"]
    assert isinstance(whole, list) and isinstance(su, list)
    assert 0 < len(su) < len(whole)
    assert all(finding in whole for finding in su)
    passwd = only_json(commands.piped("ukey", "pam", "check", "passwd", "--json").stdout)
    assert passwd["around"] is None


def test_what_may_not_be_read_is_said(commands: Commands, place: Host) -> None:
    open_to_others(place.root)
    place.write({"login": STRICT, "sshd": STRICT})
    (place.pam_d / "sshd").chmod(0o600)
    words = ("ukey", "pam", "check", "--stacks-only", "--root", str(place.root))
    done = commands.piped(*words, user=NOBODY)
    assert done.returncode == Exit.NOT_ALLOWED
    assert "not known" in done.stdout
    assert "password and ukey" in done.stdout
    assert f"{place.pam_d}/sshd" in done.stderr
    assert "sudo" in done.stderr
    place.pam_d.chmod(0o700)
    done = commands.piped(*words, user=NOBODY)
    assert done.returncode == Exit.NOT_ALLOWED
    assert str(place.pam_d) in done.stderr


@pytest.mark.parametrize("kind", ["helpful", "uniform"])
def test_an_example_on_this_host(commands: Commands, kind: str) -> None:
    """It is installed as meant, with the module that it names."""
    login = Path("/etc/pam.d/login")
    before = login.read_bytes()
    try:
        login.write_bytes((CHECKOUT / "pam.d-examples/debian" / kind / "login").read_bytes())
        done = commands.piped("ukey", "pam", "check", "login", "--json", "--stacks-only")
    finally:
        login.write_bytes(before)
    assert done.returncode == Exit.OK, done.stdout
    [found] = services(done.stdout)
    assert found["who"] == "password and ukey"
    assert "module-missing" not in [finding["kind"] for finding in found["findings"]]


def test_without_libpams_debugging_module(commands: Commands) -> None:
    [module] = Path("/usr/lib").glob("*/security/pam_debug.so")
    aside = module.with_name("aside")
    module.rename(aside)
    try:
        done = commands.piped("ukey", "pam", "check", "login")
    finally:
        aside.rename(module)
    assert done.returncode == Exit.FAILED
    assert "pam_debug.so" in done.stderr
    assert "libpam-modules" in done.stderr
    assert done.stdout == ""


# -- what it does to the host: nothing


_OPENED = re.compile(r'^(\d+) +open(?:at)?\((?:AT_FDCWD, )?"([^"]+)"')


def test_libpam_opens_nothing_of_the_host(commands: Commands, tmp_path: Path) -> None:
    """Watched from outside: what the child that runs libpam opens, but for libraries."""
    trace = tmp_path / "trace"
    calls = "--trace=open,openat,mkdir,clone,clone3,fork,vfork,connect,sendto,setresuid"
    strace = ["strace", "-f", "--seccomp-bpf", calls, "-s", "200", "-o", str(trace)]
    done = run(
        [*strace, commands.path("ukey"), "pam", "check", "--stacks-only", "login", "su", "sshd"]
    )
    assert done.returncode == Exit.STACK, done.stderr
    lines = trace.read_text().splitlines()
    first = lines[0].split()[0]
    opened = [match.groups() for match in map(_OPENED.match, lines) if match]
    assert (first, "/etc/pam.d/login") in opened  # our own reading is seen too
    children = {pid for pid, _path in opened} - {first}
    assert len(children) > 3  # one for each stack, and one for each line that is proposed
    theirs = {path for pid, path in opened if pid in children}
    assert any(path.endswith("/stack") for path in theirs)
    # The rest are the files that libraries look for when they are loaded.
    ours = re.compile(r"/run/ukey-pam-check-\w+/|/dev/null$|(/usr)?/lib/|/proc/|/sys/fs/selinux")
    strangers = {path for path in theirs if not ours.match(path)}
    assert strangers <= {"/etc/ld.so.cache", "/etc/selinux/config"}
    # Into a folder that nobody else can enter, by a user who is nobody.
    made = [line for line in lines if "mkdir(" in line and "ukey-pam-check-" in line]
    assert len(made) == len(children)
    assert all("0700" in line for line in made)
    became = re.compile(r"setresuid\(61184, 61184, 61184\) += 0")
    assert sum(became.search(line) is not None for line in lines) == len(children)
    # It writes no word to the log either.
    assert not any("/dev/log" in line for line in lines)
    assert left_over() == []


def test_nothing_is_logged(commands: Commands, place: Host) -> None:
    """Not even of modules that are missing, and of lines that libpam does not understand."""
    log = Authlog()
    try:
        text = "auth requird pam_unix.so\nauth sufficient /nowhere/pam_x.so\natuh x y\n"
        place.check("login", text)
        commands.piped("ukey", "pam", "check", "--stacks-only")
        must(["logger", "-t", "tests", "up to here"])
        log.wait_for("up to here")
        assert len(log.lines) == 1
    finally:
        log.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(
    commands: Commands, place: Host, number: signal.Signals
) -> None:
    large = (CHECKOUT / "pam.d-examples/redhat/uniform/sssd-faillock/system-auth").read_text()
    place.write({f"service{n}": f"auth optional x.so {n}\n{large}" for n in range(50)})
    child = commands.on_terminal("ukey", "pam", "check", "--stacks-only", "--root", str(place.root))
    child.expect(r"\[\d+/50\] service")  # where a person waits, it says how far it is
    child.kill(number)
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == number
    assert left_over() == []


# -- in Chinese, and in time


def test_it_speaks_chinese(commands: Commands, place: Host) -> None:
    place.write({"sshd": TEXTBOOK, "login": EXAMPLE.read_text()})
    done = commands.piped(
        "ukey",
        "pam",
        "check",
        "--root",
        str(place.root),
        "--stacks-only",
        "sshd",
        environment={"LANG": "zh_CN.UTF-8"},
    )
    assert done.returncode == Exit.STACK
    assert "已绑定 ukey 的用户仅凭密码即可登录（ukey：错误，未插入，故障）。" in done.stdout
    assert "auth [success=ok default=die] pam_ukey.so" in done.stdout
    assert "有 1 项发现需要改正。" in done.stderr
    words = re.findall(r"[A-Za-z]{4,}", re.sub(r"\S*[/_=]\S*", "", done.stdout))
    assert set(words) <= {"sshd", "UKEY", "ukey", "auth"}


@pytest.mark.alone
def test_a_whole_host_takes_no_minute(commands: Commands, place: Host) -> None:
    """Forty services with different stacks, the largest of the examples among them."""
    large = (CHECKOUT / "pam.d-examples/redhat/uniform/sssd-faillock/system-auth").read_text()
    for number in range(40):
        place.write({f"service{number}": f"auth optional pam_env.so n={number}\n{large}"})
    started = time.monotonic()
    words = ("--root", str(place.root), "--stacks-only", "--json")
    done = commands.piped("ukey", "pam", "check", *words)
    found = services(done.stdout)
    assert {each["who"] for each in found} == {"password and ukey"}
    assert len(found) == 40
    assert time.monotonic() - started < 60
