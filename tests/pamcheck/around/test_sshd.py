# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real sshd's word on a configuration that is open, and on the one that is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pamcheck.around.conftest import Planted, bad, kinds
from tests.pamcheck.hosts import STRICT_STACK
from tests.support import CHECKOUT
from tests.support.daemons import listens
from tests.support.host import Host
from tests.support.process import Daemon, run
from tools.pamcheck.around.sshd_config import Config, Visitor
from tools.pamcheck.around.system import System
from tools.pamcheck.finding import Severity
from tools.pamcheck.ssh_key import TAKES

CONFIG = "/etc/ssh/sshd_config"
#: Read before the shipped one, and before the distribution's.
FIRST = f"{CONFIG}.d/05-planted.conf"
SHIPPED = (CHECKOUT / "pam.d-examples/sshd_config.d/10-ukey.conf").read_text()


@pytest.fixture
def ssh(here: Planted) -> Iterator[Planted]:
    """This host with the shipped drop-in."""
    Path("/run/sshd").mkdir(exist_ok=True)
    here.write(f"{CONFIG}.d/10-ukey.conf", SHIPPED)
    yield here


def test_the_shipped_configuration_leaves_nothing_open(ssh: Planted) -> None:
    assert ssh.found("ssh") == []


def test_debians_own_is_open_to_keys_and_shut_to_ukeys(here: Planted) -> None:
    Path("/run/sshd").mkdir(exist_ok=True)
    found = here.found("ssh")
    assert [finding.kind for finding in found] == ["ssh-public-key-alone", "ssh-one-answer"]
    key, password = found
    assert (key.severity, password.severity) == (Severity.OPEN, Severity.SHUT)
    assert "A public key alone lets in anybody" in key.text
    assert key.place == CONFIG
    assert "AuthenticationMethods keyboard-interactive:pam" in key.remedy
    line = password.place.removeprefix(f"{CONFIG}:")
    assert Path(CONFIG).read_text().splitlines()[int(line) - 1] == "KbdInteractiveAuthentication no"


#: The planted text, the kinds that are found, and the line of it that each names (0: the file).
PLANTS = {
    "a key alone": ("AuthenticationMethods publickey", {"ssh-public-key-alone": 1}),
    "one list of two": (
        "AuthenticationMethods publickey keyboard-interactive:pam",
        {"ssh-public-key-alone": 1},
    ),
    "a certificate": (
        "AuthenticationMethods publickey\nTrustedUserCAKeys /etc/ssh/ca.pub",
        {"ssh-certificate-alone": 2, "ssh-public-key-alone": 1},
    ),
    "certificates only": (
        "AuthenticationMethods publickey\nAuthorizedKeysFile none\nTrustedUserCAKeys /x.pub",
        {"ssh-certificate-alone": 3, "ssh-public-key-alone": 1},
    ),
    "without PAM": (
        "UsePAM no\nAuthenticationMethods password\nPasswordAuthentication yes",
        {"ssh-without-pam": 1, "ssh-password-alone": 1},
    ),
    "the password alone": (
        "PasswordAuthentication yes\nAuthenticationMethods password\n",
        {"ssh-one-answer": 2},
    ),
    "the password too": (
        "AuthenticationMethods password keyboard-interactive\nPasswordAuthentication yes\n",
        {"ssh-one-answer": 2},
    ),
    "Kerberos": (
        "AuthenticationMethods gssapi-with-mic keyboard-interactive\nGSSAPIAuthentication yes",
        {"ssh-kerberos-alone": 2},
    ),
    "the host": (
        "AuthenticationMethods hostbased\nHostbasedAuthentication yes",
        {"ssh-host-alone": 2},
    ),
    "a key and the host": (
        "HostbasedAuthentication yes\nAuthenticationMethods publickey,hostbased",
        {"ssh-without-prompts": 2},
    ),
    "empty passwords": ("PermitEmptyPasswords yes", {"ssh-empty-password": 1}),
    "a block for one": (
        "Match User alice\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for all": (
        "Match all\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for some, from somewhere": (
        'Match User "al*,!bob" Address 10.0.0.0/8\n  AuthenticationMethods publickey',
        {"ssh-public-key-alone": 2},
    ),
    "a block for a port": (
        "Match LocalPort=2222 LocalAddress 192.0.2.9\n\tAuthenticationMethods=publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for a host": (
        "Match Host *.example.org,!bad.example.org\nAuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for a group": (
        "Match Group staff\nAuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "two blocks that open together": (
        "Match Address 10.0.0.0/8\n  AuthenticationMethods hostbased\n"
        "Match User alice\n  HostbasedAuthentication yes",
        {"ssh-host-alone": 4, "ssh-shut": 2},
    ),
    "a block for all but one": (
        'Match User "!alice,*"\n  AuthenticationMethods publickey',
        {"ssh-public-key-alone": 2},
    ),
    "a block for all but those whom a star would stand for": (
        "Match User !x*,*\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for all addresses but those that a stranger has": (
        "Match Address !192.0.2.0/24,*\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for a network but for most of it": (
        "Match Address !10.0.0.0/9,!10.128.0.0/10,10.0.0.0/8\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for a network of the sixth version but for its beginning": (
        "Match Address !2001:db8::/33,2001:db8::/32\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for hosts but some": (
        "Match Host !x.example.org,*.example.org\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for all groups but one": (
        "Match Group !staff2,*\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a block for nobody": (
        "Match User !alice\n  AuthenticationMethods publickey",
        {},
    ),
    "a block that nobody is found for": (
        "Match User !*x*,!*q*,!*0*,!*n*,!v,v*\n  X11Forwarding no",
        {"not-looked-at": 1},
    ),
    "a criterion that nobody knows, behind one that is known": (
        "Match User alice Moon full\n  X11Forwarding no",
        {"not-looked-at": 0},
    ),
    "a criterion that nobody knows": ("Match Moon full\n  X11Forwarding no", {"not-looked-at": 0}),
    "root by a key": (
        "Match User root\n  AuthenticationMethods publickey",
        {"ssh-public-key-alone": 2},
    ),
    "a line that sshd has not understood": (
        "AuthenticationMethod publickey",
        {"not-looked-at": 0},
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_found(ssh: Planted, name: str) -> None:
    text, expected = PLANTS[name]
    ssh.write("/etc/ssh/ca.pub", "")
    ssh.write("/etc/group", Path("/etc/group").read_text() + "staff2:x:4242:\n")
    if "staff" in text:
        assert run(["useradd", "--groups", "staff", "alice"]).returncode == 0
    ssh.write(FIRST, text + "\n")
    try:
        found = ssh.found("ssh")
    finally:
        run(["userdel", "--remove", "alice"])
    places = dict(kinds(found))
    assert places == {
        kind: f"{FIRST}:{line}" if line else "/usr/sbin/sshd" for kind, line in expected.items()
    }, found


def test_an_included_file_is_read_where_it_is_included(ssh: Planted) -> None:
    ssh.write("/etc/ssh/more/one.conf", "\n\nAuthenticationMethods publickey\n")
    ssh.write(FIRST, "Match User alice\n  Include more/*.conf\n")
    ((kind, place),) = kinds(ssh.found("ssh"))
    assert (kind, place) == ("ssh-public-key-alone", "/etc/ssh/more/one.conf:3")


def test_files_that_include_each_other_are_not_read_for_ever(ssh: Planted) -> None:
    ssh.write("/etc/ssh/more/one.conf", "Include more/**.conf\nInclude more/one.conf\n")
    ssh.write(FIRST, "Include more/*.conf\n")
    (finding,) = ssh.found("ssh")
    assert finding.text == "Not looked at: ssh (too many files are included)."


def test_options_of_the_unit_count(ssh: Planted) -> None:
    ssh.write("/etc/default/ssh", "SSHD_OPTS='-o AuthenticationMethods=publickey -D'\n")
    assert [finding.kind for finding in ssh.found("ssh")] == ["ssh-public-key-alone"]
    ssh.write("/etc/default/ssh", "SSHD_OPTS=-Z\n")
    assert kinds(ssh.found("ssh")) == [("not-looked-at", "/etc/default/ssh")]
    ssh.write("/etc/ssh/other", "AuthenticationMethods publickey\n")
    ssh.write("/etc/default/ssh", 'SSHD_OPTS="-f /etc/ssh/other"\n')
    assert ("ssh-public-key-alone", "/etc/ssh/other:1") in kinds(ssh.found("ssh"))


UNIT = "/etc/systemd/system/ssh.service.d/planted.conf"
START = "[Service]\nExecStart=\nExecStart="


def test_options_of_a_drop_in_count(ssh: Planted) -> None:
    ssh.write("/etc/ssh/other", "AuthenticationMethods publickey\n")
    ssh.write(UNIT, f"{START}/usr/sbin/sshd -D $SSHD_OPTS -f /etc/ssh/other\n")
    assert ("ssh-public-key-alone", "/etc/ssh/other:1") in kinds(ssh.found("ssh"))
    ssh.write(UNIT, f"{START}/opt/sshd -D\n")
    assert kinds(ssh.found("ssh")) == [("not-looked-at", f"{UNIT}:3")]
    ssh.write(UNIT, f"{START}/usr/sbin/sshd -D $SSHD_OPTS\n")
    assert ssh.found("ssh") == []


def test_a_block_that_sshd_fails_on_keeps_its_people_out(ssh: Planted) -> None:
    ssh.write(FIRST, "Match User alice\n  AuthenticationMethods any\n")
    (finding,) = ssh.found("ssh")
    assert (finding.kind, finding.severity) == ("ssh-public-key-alone", Severity.OPEN)
    text = "Match User alice\n  AuthenticationMethods publickey\nMatch User alice\n"
    ssh.write(FIRST, text + "  AuthenticationMethods any\n")
    found = ssh.found("ssh")
    assert ("ssh-configuration", Severity.SHUT) in [(f.kind, f.severity) for f in found]


def test_who_is_bound_is_asked_about_where_blocks_name_people(ssh: Planted) -> None:
    ssh.write("/etc/usbkey/j%2Edoe", "")
    ssh.write(FIRST, "Match User j.*\n  AuthenticationMethods publickey\n")
    visitors, _total = Config(System()).visitors(99)
    assert {"user": "j.doe"} in [dict(visitor.special) for visitor in visitors]
    (finding,) = ssh.found("ssh")
    assert "user j.x; user j.doe" in finding.text


def test_more_combinations_than_are_asked_for_are_told(ssh: Planted) -> None:
    people = ",".join(f"u{number}" for number in range(600))
    ssh.write(FIRST, f"Match User {people[:990].rpartition(',')[0]}\n  X11Forwarding no\n")
    config = Config(System())
    visitors, total = config.visitors(10)
    assert len(visitors) == 10
    assert total > 200
    assert visitors[0] == Visitor()


def test_what_keeps_sshd_from_answering_is_told(ssh: Planted) -> None:
    Path("/run/sshd").rmdir()
    try:
        (finding,) = ssh.found("ssh")
    finally:
        Path("/run/sshd").mkdir()
    assert (finding.kind, finding.remedy) == ("not-looked-at", "mkdir -p /run/sshd")
    assert "Missing privilege separation directory" in finding.text


def test_a_host_without_sshd_is_told(image: Planted) -> None:
    (finding,) = image.found("ssh")
    assert (finding.kind, finding.severity) == ("not-there", Severity.NOTE)
    assert finding.text == "Not looked at: ssh (no sshd is installed)."


def test_another_hosts_sshd_runs_in_its_own_root(ssh: Planted) -> None:
    ssh.write(FIRST, "AuthenticationMethods publickey\n")
    there = Planted(Path("/proc/self/root"))
    assert kinds(there.found("ssh")) == [("ssh-public-key-alone", f"{FIRST}:1")]


#: Whether demo and root get in by a key alone, as the real sshd decides.
REAL = {
    "": (False, False),
    "AuthenticationMethods publickey": (True, True),
    "AuthenticationMethods publickey\nPermitRootLogin no": (True, False),
    "Match User root\n  AuthenticationMethods publickey": (False, True),
    "Match Address 127.0.0.0/8\n  AuthenticationMethods publickey": (True, True),
    "Match Address 198.51.100.0/24\n  AuthenticationMethods publickey": (False, False),
    "Match User demo Address ::1\n  AuthenticationMethods publickey": (False, False),
}


@pytest.fixture(scope="module")
def key() -> Iterator[Path]:
    """For demo, who has an account."""
    with Host() as host:
        yield host.user().authorize(host.folder)


@pytest.mark.parametrize("text", REAL, ids=lambda text: text.replace("\n", "; ") or "shipped")
def test_the_real_sshd_lets_in_whom_it_says(
    ssh: Planted, key: Path, tmp_path: Path, text: str
) -> None:
    """By ssh itself, from 127.0.0.1; a finding names demo, root, 127.0.0.1, or anybody."""
    ssh.write("/root/.ssh/authorized_keys", key.with_suffix(".key.pub").read_text(), 0o600)
    ssh.write(FIRST, text + "\n")
    daemon = Daemon(["/usr/sbin/sshd", "-D"], tmp_path / "sshd.log")
    try:
        daemon.wait_ready(lambda: listens(22))
        got_in = tuple(by_key(user, key) for user in ("demo", "root"))
    finally:
        daemon.stop()
    assert got_in == REAL[text]
    said = " ".join(f.text for f in ssh.found("ssh") if f.kind == "ssh-public-key-alone")
    if "Address ::1" in text or "198.51" in text:
        assert "from " in said
    else:
        assert bool(said) == any(got_in)
    assert bool(bad(ssh.found("ssh"))) == (text != "")


def by_key(user: str, key: Path) -> bool:
    options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"]
    options += ["-o", "UserKnownHostsFile=/dev/null", "-i", str(key)]
    return run(["ssh", *options, f"{user}@127.0.0.1", "true"], seconds=30).returncode == 0


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ("publickey,keyboard-interactive:pam", []),
        ("keyboard-interactive:pam", ["ssh-no-key"]),
        ("keyboard-interactive:pam,publickey", ["ssh-no-key"]),
    ],
)
def test_where_an_ssh_key_alone_counts_sshd_has_to_ask_for_one_first(
    ssh: Planted, methods: str, told: list[str]
) -> None:
    ssh.write("/etc/pam.d/sshd", f"{TAKES}\n{STRICT_STACK}")
    ssh.write(FIRST, f"AuthenticationMethods {methods}\n")
    assert [finding.kind for finding in ssh.found("ssh")] == told
    ssh.write("/etc/pam.d/sshd", "auth required pam_unix.so\n")
    assert ssh.found("ssh") == []
