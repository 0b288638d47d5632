# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The configuration file: right, wrong, and the one that is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from keyservice.access.settings import Rules, ServiceRule, SshKeys
from keyservice.config import Config, load, parse
from keyservice.core.errors import ConfigurationError
from keyservice.core.tables import SIZE_MAX
from keyservice.ukeys import kinds
from keyservice.ukeys.quirks import QuirkRule
from keyservice.ukeys.settings import ReaderSettings
from tests.support import CHECKOUT

#: The value of each setting that a rule does not name.
USUAL = {name: setting.usual for name, setting in kinds.settings().items()}
EVERY_KEY = """
allow_virtual_readers = true
shared_pcsc = true
[service]
deadline = 30
language = "zh_CN"
[bus]
enabled = false
[crypto]
sm2 = "gmssl"
[readers]
allow = ["A*"]
deny = ["AB*"]
usb = ["163c:*", "04e6:5?16", "*:0001", "*"]
deadline = 20
[locality]
ttys = ["tty1", "/dev/ttyS1", "@kernel"]
[breakglass]
serial = false
[authentication]
wait_for_ukey = 0
[throttle]
after = 5
seconds = 30
longest = 300
[pins]
same = 16
run = 2
[enrolment]
ukeys_per_person = 8
[policy]
algorithms = ["p256", "sm2"]
attested = true
ssh_keys = ["sk", "ukey"]
[services.sshd]
factors_from_afar = ["ssh-key", "ukey"]
[services."a.b"]
factors = ["ukey"]
factors_from_afar = []
wait_for_ukey = 3
[[quirks]]
manufacturer = "Example*"
mac_length = "command"
name_length = 48
"""


def test_nothing_is_the_defaults() -> None:
    assert parse("") == Config()
    assert Config().rules == Rules()


def test_every_key_arrives() -> None:
    assert parse(EVERY_KEY) == Config(
        Rules(
            deadline=30,
            language="zh_CN.UTF-8",
            local_ttys=("tty1", "/dev/ttyS1", "@kernel"),
            wait_for_ukey=0,
            throttle_after=5,
            throttle_seconds=30,
            throttle_longest=300,
            pin_same=16,
            pin_run=2,
            ukeys_per_person=8,
            algorithms=frozenset({"p256", "sm2"}),
            attested=True,
            allow_virtual_readers=True,
            shared_pcsc=True,
            ssh_keys=frozenset({SshKeys.SK, SshKeys.UKEY}),
            services={
                "sshd": ServiceRule(None, ("ssh-key", "ukey")),
                "a.b": ServiceRule(("ukey",), (), wait_for_ukey=3),
            },
        ),
        ReaderSettings(
            operation_deadline=20,
            allow=("A*",),
            deny=("AB*",),
            usb=("163c:*", "04e6:5?16", "*:0001", "*"),
            allow_virtual_readers=True,
            quirks=(
                QuirkRule(
                    manufacturer="Example*",
                    values=USUAL | {"mac_length": "command", "name_length": 48},
                ),
            ),
        ),
        bus=False,
        sm2="gmssl",
        breakglass_serial=False,
    )


def test_a_service_is_as_it_says_and_else_as_all() -> None:
    rules = parse(EVERY_KEY).rules
    assert rules.service("sshd").factors_from_afar == ("ssh-key", "ukey")
    assert rules.service("su").factors_from_afar is rules.service("sshd").factors is None
    assert rules.service("a.b").factors_from_afar == ()
    sudo = parse("[services.sudo]\nfactors_from_afar = ['session', 'ukey']").rules.service("sudo-i")
    assert sudo == ServiceRule(None, ("session", "ukey"))
    assert [rules.patience(name) for name in ("a.b", "sshd", "su")] == [3, 0, 0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alow_virtual_readers = true", "did you mean allow_virtual_readers?"),
        ("[sevice]\ndeadline = 5", "sevice is not a known key; did you mean service?"),
        ("[service]\ndedline = 5", "service.dedline is not a known key; did you mean"),
        ("[services.sshd]\nfactors_afar = []", "mean services.sshd.factors_from_afar?"),
        (
            "[services.sshd]\nallow_remote = true",
            'allow_remote is not a key any more: write factors_from_afar = ["ukey"]',
        ),
        (
            "[services.su]\nallow_remote = false",
            "services.su.allow_remote is not a key any more: write factors_from_afar = []",
        ),
        (
            "[services.su]\nfactors = 'ukey'",
            'factors is a list of some of "session", "ssh-key", "ukey"',
        ),
        ("[services.su]\nfactors = ['code']", "services.su.factors is a list of some of"),
        ("[services.su]\nfactors = ['ukey', 'ukey']", "services.su.factors names a factor twice"),
        ("[services.su]\nfactors = ['ssh-key']", "which nobody but sshd can be shown, from afar"),
        ("[services.su]\nfactors_from_afar = ['ssh-key']", "which nobody but sshd can be shown"),
        ("[services.su]\nfactors = ['ukey', 'session']", "only programs in a session from afar"),
        ("[services.sshd]\nfactors_from_afar = ['session']", "only programs in a session from"),
        ("[services.sshd]\nfactors = ['ukey']", "from afar. Write factors_from_afar"),
        ("[services.sshd]\nfactors = []", "from afar. Write factors_from_afar"),
        ("[service]\nxyzzy = 5", "service.xyzzy is not a known key"),
        ("[[quirks]]\nmac = 1", "quirks[1].mac is not a known key"),
        ("allow_virtual_readers = 1", "allow_virtual_readers is true or false"),
        ("[service]\ndeadline = true", "service.deadline is a whole number from 5 to 300"),
        ("[service]\ndeadline = 4", "service.deadline is a whole number from 5 to 300"),
        ("[service]\ndeadline = 30.5", "service.deadline is a whole number"),
        ('[service]\nlanguage = "de"', "service.language is one of auto, en, zh_CN"),
        ('[crypto]\nsm2 = "none"', "crypto.sm2 is one of auto, openssl, gmssl"),
        ('[locality]\nttys = ["@kernels"]', 'locality.ttys is a list of terminals such as "ttyS0"'),
        ("[breakglass]\nserial = 0", "breakglass.serial is true or false"),
        ("[breakglass]\nserials = true", "did you mean breakglass.serial?"),
        ('[readers]\nallow = "*"', "readers.allow is a list of texts"),
        ("[readers]\ndeny = [1]", "readers.deny is a list of texts"),
        ('[readers]\ndeny = ["ACME"]', 'readers.deny has "ACME", which fits no reader'),
        ('[readers]\nallow = ["*", ""]', 'readers.allow has "", which fits no reader'),
        ('[[quirks]]\nreader = "ACME 0 0"', 'quirks[1].reader has "ACME 0 0", which fits no'),
        ('[readers]\nusb = "*"', 'readers.usb is a list of USB ids such as "163c:*"'),
        *(
            (f'[readers]\nusb = ["163c:*", "{wrong}"]', "readers.usb is a list of USB ids")
            for wrong in ("163C:*", "163c", "63c:*0417", "163c:417", "163c:04170", "163c:0417 ")
        ),
        *(
            (f"[policy]\nalgorithms = {wrong}", "is a list of one or more of ed25519, p256, p384")
            for wrong in ("[]", '"sm2"', '["sm2", "SM2"]', "[1]", '[["sm2"]]', '["sk-p256"]')
        ),
        ("[enrolment]\nukeys_per_person = 0", "ukeys_per_person is a whole number from 1 to 8"),
        ("[enrolment]\nukeys_per_person = 9", "ukeys_per_person is a whole number from 1 to 8"),
        ("service = 5", "service is a table"),
        ("services = []", "services is a table"),
        ("[services]\nsshd = true", "services.sshd is a table"),
        ("[quirks]\nserial = '*'", "quirks is a list of tables: write [[quirks]]"),
        ("[[quirks]]\nname_length = 40", "quirks[1].name_length is one of 32, 48"),
        ('[[quirks]]\npin_hash = "md5"', "quirks[1].pin_hash is one of sha1, sm3"),
        ("[[quirks]]\nserial = 1", "quirks[1].serial is a text"),
        ('[[quirks]]\nkind = "card"', "quirks[1].kind is one of any, gmt0017, piv, openpgp"),
        ('[[quirks]]\nserial = "1"\nkind = "piv"', "quirks[1].kind goes with reader alone"),
        ("a = \n", "line 1"),
        ("[service]\n[service]", "service"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert problem in caught.value.message


@pytest.mark.parametrize(
    "text",
    ["x = " + "9" * 5000, "x = " + "[" * 100_000, "x = 0000-01-01", "x = 1e999\ny = nan"],
    ids=["a number too long", "too deep", "no date", "no number"],
)
def test_what_no_reader_of_toml_takes_is_wrong_too(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse(text)


@pytest.mark.parametrize("key", ["\\u001b[2J", "a\\nb", "\\u009b", "\\u202e", "\\u2028"])
def test_what_is_wrong_does_not_steer_a_terminal(key: str) -> None:
    """--check-config reads a file that anybody may have written."""
    for text in (f'"{key}" = 1', f'["{key}"."{key}"]\nx = 1', f'["services"."{key}"]\nx = 1'):
        with pytest.raises(ConfigurationError) as caught:
            parse(text)
        assert caught.value.message.isprintable()


def test_a_program_that_names_itself_otherwise_for_a_login_shell_is_one_service() -> None:
    rules = parse(
        "[services.su]\nfactors_from_afar = ['ukey']\n[services.sudo-i]\nfactors_from_afar = []"
    ).rules
    asked = ("su", "su-l", "sudo", "sudo-i", "runuser-l", "-l")
    told = [rules.service(name).factors_from_afar for name in asked]
    assert told == [("ukey",), ("ukey",), None, (), None, None]


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse('x = 1\nshared_pcsc = "no"\n[bus]\nenable = true')
    assert len(caught.value.message.splitlines()) == 3


def test_the_installed_file_says_the_defaults_and_every_key() -> None:
    text = (CHECKOUT / "data/keyservice.toml").read_text()
    assert parse(text) == Config()
    uncommented = re.sub(r"(?m)^#(?=\[|[a-z_0-9]+ = )", "", text)
    changed = parse(uncommented)
    assert changed.rules.services == {
        "sshd": ServiceRule(None, ("ssh-key",), 15),
        "su": ServiceRule(("ukey",)),
    }
    assert changed.readers.quirks == (QuirkRule(values=USUAL),)
    assert Rules(services=changed.rules.services) == changed.rules
    assert ReaderSettings(quirks=changed.readers.quirks) == changed.readers
    assert keys(uncommented) == keys(EVERY_KEY) | {
        *("reader", "serial", "byte_order", "expected_length", "pin_hash", "new_pair"),
        *("pin_block", "size_order"),
        *("kind", "unblock_with"),
    }


def keys(text: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z_0-9]+) = ", text))


# -- the file


def test_no_file_is_no_configuration_unless_one_was_named(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert load(path, required=False, trusted=True) == Config()
    with pytest.raises(ConfigurationError, match="no such file"):
        load(path, required=True, trusted=True)


def test_who_else_may_write_it(tmp_path: Path) -> None:
    path = tmp_path / "keyservice.toml"
    path.write_text("shared_pcsc = true\n")
    path.chmod(0o644)
    assert load(path, required=True, trusted=True).rules.shared_pcsc
    for mode, uid in ((0o664, 0), (0o646, 0), (0o644, 1000)):
        path.chmod(mode)
        os.chown(path, uid, 0)
        with pytest.raises(ConfigurationError, match="others than root"):
            load(path, required=True, trusted=True)
        assert load(path, required=True, trusted=False).rules.shared_pcsc


@pytest.mark.parametrize("content", [b"\xff", b"#" * (SIZE_MAX + 1), b"x = 1\ny = 2\n"])
def test_the_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keyservice.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(path, required=True, trusted=True)
    assert all(line.startswith(f"{path}: ") for line in caught.value.message.splitlines())


def test_a_pipe_is_no_file_and_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="no ordinary file"):
        load(tmp_path / "pipe", required=True, trusted=True)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="directory"):
        load(tmp_path, required=True, trusted=True)
