# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The real sshd: the password and a registered ssh key let in, and nothing else that ssh shows or
a stack may say in its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.people import User
from tests.support.process import must
from tests.support.programs import Outcome
from tests.support.stacks import without_pauses

EXAMPLES = CHECKOUT / "pam.d-examples"
TAKES = "auth optional pam_ukey.so take_ssh_key\n"
BOTH = "AuthenticationMethods publickey,keyboard-interactive:pam\n"
DROP_IN = (EXAMPLES / "sshd_config.d/10-ukey.conf").read_text()


@dataclass
class Scene:
    """A host with sshd, on which demo has a key that is registered, and another that is not."""

    host: Host
    user: User
    keys: dict[str, Path] = field(default_factory=dict)

    def key(self, name: str, *options: str) -> Path:
        """A new key of that name, which is in demo's authorized_keys; its private part."""
        file = self.host.folder / name
        must(
            ["ssh-keygen", "-q", "-N", "", "-C", name, *(options or ("-t", "ed25519")), "-f", file]
        )
        self.keys[name] = file
        self.authorize()
        return file

    def authorize(self) -> None:
        folder = self.user.home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        authorized = folder / "authorized_keys"
        authorized.write_text("".join(public(each).read_text() for each in self.keys.values()))
        for path in (folder, authorized):
            shutil.chown(path, self.user.uid, self.user.gid)

    def stack(self, before: str = "", kind: str = "helpful", *, take: bool = True) -> None:
        """Debian's example, with the line that takes the key before it, and `before` in front."""
        text = (EXAMPLES / "debian" / kind / "sshd").read_text().replace(TAKES, "")
        lines = "".join(line for line in text.splitlines(True) if "take_ssh_key" not in line)
        self.host.pam.stack("sshd", before + (TAKES if take else "") + without_pauses(lines))

    def ssh(self, name: str, *options: str, password: str = "", pin: str = "") -> Outcome:
        """ssh with the key of that name, and the password; `pin` where a PIN is asked for."""
        methods = ["-o", "PreferredAuthentications=publickey,keyboard-interactive"]
        mine = ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", str(self.keys[name])]
        answers = [password or self.user.password, *filter(None, [pin])]
        return self.host.ssh(self.user, answers, options=[*options, *mine, *methods])

    def refused(self, outcome: Outcome, since: int, *reasons: str) -> None:
        log = self.host.authlog
        assert not outcome.allowed, outcome.screen
        assert outcome.prompts == ["Password:"], outcome.screen
        line = log.wait_for("event=authentication .*service=sshd", since).text
        assert " verdict=AUTH_ERR " in line
        for reason in reasons:
            log.wait_for(reason, since)

    def fingerprint(self, name: str) -> str:
        return must(["ssh-keygen", "-l", "-f", public(self.keys[name])]).split()[1]

    @property
    def since(self) -> int:
        self.host.authlog.catch_up()
        return len(self.host.authlog.lines)


def public(key: Path) -> Path:
    return key.with_name(key.name + ".pub")


def add(user: User, key: Path) -> None:
    must(["ukey", "ssh-key", "add", user.name, "--from-file", public(key)])


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Host() as host:
        host.keyservice()
        made = Scene(host, host.user())
        add(made.user, made.key("own"))
        made.key("other")
        made.stack()
        host.sshd(BOTH + "AcceptEnv SSH_AUTH_INFO_0\n" + DROP_IN)
        yield made


@pytest.mark.smoke
def test_the_password_and_the_registered_key_let_in(scene: Scene) -> None:
    since = scene.since
    outcome = scene.ssh("own")
    assert outcome.allowed, outcome.screen + scene.host.authlog.text
    assert outcome.prompts == ["Password:"]
    ssh_key = scene.fingerprint("own").replace("+", r"\+")
    scene.host.authlog.wait_for(f"ssh_key={ssh_key} key=[0-9a-f]{{64}} .*verdict=SUCCESS", since)


def test_the_key_alone_and_the_password_alone_do_not(scene: Scene) -> None:
    outcome = scene.ssh("own", password="wrong")
    assert not outcome.allowed
    outcome = scene.ssh("own", "-o", "PubkeyAuthentication=no")
    assert not outcome.allowed and not outcome.prompts


def test_another_key_of_the_same_authorized_keys_is_refused(scene: Scene) -> None:
    since = scene.since
    outcome = scene.ssh("other")
    scene.refused(outcome, since, "SshKeyRefused: The ssh key is not one", "user=demo, ssh=SHA256")
    assert scene.fingerprint("other") in outcome.screen.replace("\r\n", "").replace(" ", "")


def test_a_revoked_key_is_refused(scene: Scene) -> None:
    add(scene.user, scene.key("lost"))
    assert scene.ssh("lost").allowed
    mark = scene.fingerprint("lost")
    must(["ukey", "ssh-key", "remove", "--force", "--yes", scene.user.name, mark])
    since = scene.since
    scene.refused(scene.ssh("lost"), since, "SshKeyRefused: The ssh key was revoked")
    assert scene.ssh("own").allowed


def test_somebody_elses_key_is_refused(scene: Scene) -> None:
    """demo's authorized_keys takes it, and alice has it registered."""
    alice = scene.host.user("alice", "battery staple")
    add(alice, scene.key("hers"))
    since = scene.since
    scene.refused(scene.ssh("hers"), since, "registered for somebody else .*owner=alice")


def test_a_certificate_counts_as_the_key_that_it_certifies(scene: Scene) -> None:
    authority = scene.host.folder / "authority"
    must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority])
    for name in ("own", "other"):
        must(
            [
                "ssh-keygen",
                "-q",
                "-s",
                authority,
                "-I",
                name,
                "-n",
                "demo",
                public(scene.keys[name]),
            ]
        )
    file = scene.user.home / ".ssh/authorized_keys"
    file.write_text(f"cert-authority {public(authority).read_text()}")
    try:
        assert scene.ssh("own").allowed
        since = scene.since
        scene.refused(scene.ssh("other"), since, "The ssh key is not one")
    finally:
        for name in ("own", "other"):
            (scene.host.folder / f"{name}-cert.pub").unlink()
        scene.authorize()


# -- forgeries: demo logs in with the key "other", and has the stack say that it was "own"


@pytest.fixture
def forged(scene: Scene) -> Iterator[str]:
    """What sshd would say of demo's registered key. The stack is as before in the end."""
    words = public(scene.keys["own"]).read_text().split()
    yield f"publickey {words[0]} {words[1]}"
    scene.stack()
    (scene.user.home / ".pam_environment").unlink(missing_ok=True)


PAM_ENV = "auth required pam_env.so user_readenv=1\n"


@pytest.mark.parametrize(
    ("before", "take", "reasons"),
    [
        (PAM_ENV, True, ["another auth line stands before"]),
        (TAKES + PAM_ENV, False, ["The ssh key is not one"]),
        (PAM_ENV, False, ["no line with take_ssh_key has taken it", "another auth line stands"]),
    ],
    ids=["before", "after", "alone"],
)
def test_pam_environment_forges_nothing(
    scene: Scene, forged: str, before: str, take: bool, reasons: list[str]
) -> None:
    """pam_env writes only when libpam sets credentials and opens the session, which is too late;
    the stack is refused all the same where it stands first."""
    file = scene.user.home / ".pam_environment"
    file.write_text(f"SSH_AUTH_INFO_0={forged}\n")
    shutil.chown(file, scene.user.uid, scene.user.gid)
    scene.stack(before, take=take)
    since = scene.since
    scene.refused(scene.ssh("other"), since, *reasons)


@pytest.mark.parametrize(
    ("place", "reasons"),
    [
        ("{forge}{take}", ["another auth line stands before"]),
        ("{take}{forge}", ["another module of this stack has changed it", "verified no key"]),
        ("{forge}", ["no line with take_ssh_key has taken it", "another auth line stands before"]),
    ],
    ids=["before", "after", "alone"],
)
def test_an_earlier_module_forges_nothing(
    scene: Scene, forged: str, place: str, reasons: list[str]
) -> None:
    """Byte for byte what sshd says, which pam_env cannot write."""
    module, text = scene.host.folder / "pam_forge.so", scene.host.folder / "forged"
    text.write_text(forged + "\n")
    source = CHECKOUT / "tests/pam/pam_forge.c"
    must(["cc", "-std=gnu11", "-O1", "-fPIC", "-shared", "-o", module, source, "-lpam"])
    forge = f"auth required {module} {text}\n"
    scene.stack(place.format(forge=forge, take=TAKES), take=False)
    since = scene.since
    scene.refused(scene.ssh("other"), since, *reasons)


def test_the_client_forges_nothing(
    scene: Scene, forged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sshd takes the variable from it, once it has let it in."""
    monkeypatch.setenv("SSH_AUTH_INFO_0", forged)
    since = scene.since
    for option in (f'SetEnv=SSH_AUTH_INFO_0="{forged}"', "SendEnv=SSH_AUTH_INFO_0"):
        outcome = scene.ssh("other", "-o", option)
        scene.refused(outcome, since, f"ssh_key={scene.fingerprint('other')}".replace("+", r"\+"))


def test_under_uniform_it_says_one_thing_and_lets_in(scene: Scene) -> None:
    scene.stack(kind="uniform")
    try:
        text = []
        for name in ("other", "own"):
            outcome = scene.ssh(name, pin="000000")
            text.append(outcome.screen)
            assert outcome.allowed is (name == "own")
        assert scene.fingerprint("other") not in text[0]
    finally:
        scene.stack()


#: Where Debian has OpenSSH's own test middleware (its sources' regress/misc/sk-dummy), built.
_DUMMY = "./usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"


@pytest.mark.network
def test_a_security_key_lets_in(scene: Scene, tmp_path: Path) -> None:
    """A key for OpenSSH's own test middleware, which plays a FIDO authenticator; under ``uniform``
    too. Another such key is refused."""
    must(["apt-get", "update", "-q"], seconds=120)
    must(["apt-get", "download", "-q", "openssh-tests"], cwd=tmp_path, seconds=120)
    (package,) = tmp_path.glob("openssh-tests*.deb")
    extract = f"dpkg-deb --fsys-tarfile {package} | tar -xO {_DUMMY} > {tmp_path}/sk-dummy.so"
    must(["sh", "-euc", extract])
    (tmp_path / "sk-dummy.so").chmod(0o755)
    for name in ("sk", "spare"):
        scene.key(name, "-t", "ed25519-sk", "-w", f"{tmp_path}/sk-dummy.so")
    add(scene.user, scene.keys["sk"])
    provider = ("-o", f"SecurityKeyProvider={tmp_path}/sk-dummy.so")
    for kind in ("helpful", "uniform"):
        scene.stack(kind=kind)
        try:
            assert scene.ssh("sk", *provider, pin="000000").allowed
            assert not scene.ssh("spare", *provider, pin="000000").allowed
        finally:
            scene.stack()
