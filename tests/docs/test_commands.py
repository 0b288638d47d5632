# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Commands of the documents do what is said: blocks below ``<!-- run: ANSWERS -->`` are run.

ANSWERS are what is typed at the prompts, in order, by the names in ``TYPED``; ``network`` marks a
block that a machine with nothing installed, and a network, has to get through.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.softkey.state import FACTORY_PIN
from tests.support import CHECKOUT
from tests.support.host import ADMIN_PIN, PIN, Host
from tests.support.process import run
from tests.support.ukeys import Softkey

_BLOCK = re.compile(r"^<!-- run(?:: ([\w ]+))? -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: What the machine trusts, the network between it and the index may need: kept from the packages.
AUTHORITIES = """\
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt /tmp/authorities
    export PIP_CERT=/tmp/authorities
fi
"""

TYPED = {
    "PIN": PIN.decode(),
    "ADMIN": ADMIN_PIN.decode(),
    "FACTORY": FACTORY_PIN.decode(),
    "MANAGEMENT": "default",
    "yes": "y",
}


def blocks(document: str) -> list[tuple[str, str]]:
    """(answers, commands) of each block that is to be run."""
    found = _BLOCK.findall((CHECKOUT / document).read_text())
    assert found, f"{document} has nothing to run"
    return found


def run_blocks(document: str, softkey: Softkey) -> None:
    for answers, commands in blocks(document):
        if answers != "network":
            script = commands.replace("SERIAL", softkey.serial)
            typed = "".join(f"{TYPED[name]}\n" for name in answers.split())
            done = run(["sh", "-euc", script], input=typed)
            assert done.returncode == 0, f"{script}{done.stdout}{done.stderr}"


@pytest.fixture
def running(host: Host) -> Host:
    host.pcscd()
    host.bus()
    host.keyservice()
    return host


@pytest.mark.parametrize("document", ["README.md", "docs/enrol.md"])
def test_a_ukey_from_the_factory_is_bound_as_described(running: Host, document: str) -> None:
    running.user("alice")
    ukey = running.softkey(pin=None)
    run_blocks(document, ukey)
    assert ukey.serial in Path("/etc/usbkey/alice").read_text()


def test_a_piv_card_makes_a_pair_as_described(running: Host) -> None:
    running.user("alice")
    card = running.pivcard(pairs={})
    run_blocks("docs/piv.md", card)
    record = Path("/etc/usbkey/alice").read_text()
    assert f'"serial": "{card.serial}"' in record
    assert '"algorithm": "p256"' in record


def test_an_openpgp_card_makes_a_pair_as_described(running: Host) -> None:
    running.user("alice")
    card = running.openpgpcard(pairs={})
    run_blocks("docs/openpgp.md", card)
    record = Path("/etc/usbkey/alice").read_text()
    assert f'"serial": "{card.serial}"' in record
    assert '"container": "AUT"' in record


def test_it_is_turned_on_and_taken_back_as_described() -> None:
    """What the page copies is in force in between, and in the end all of it is as it was."""
    folders = (Path("/etc/pam.d"), Path("/etc/ssh/sshd_config.d"))
    before = [contents(folder) for folder in folders]
    saved = Path("/root/before-ukey")
    commands = [script for _, script in blocks("docs/turn-on.md")]
    try:
        for script in commands[:-1]:
            sh(script)
        for service in ("login", "sshd"):
            assert "pam_ukey.so" in Path("/etc/pam.d", service).read_text()
        assert Path("/etc/ssh/sshd_config.d/10-ukey.conf").exists()
        assert run(["sh", "-euc", commands[0]]).returncode != 0  # the first copy stays
        assert contents(saved / "pam.d") == before[0]
    finally:
        sh(commands[-1])
        shutil.rmtree(saved)
    assert [contents(folder) for folder in folders] == before


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def sh(script: str) -> None:
    done = run(["sh", "-euc", script], cwd=CHECKOUT)
    assert done.returncode == 0, f"{script}{done.stdout}{done.stderr}"


def test_a_lost_ukey_is_given_up_and_a_pin_unblocked_as_described(running: Host) -> None:
    ukey = running.softkey()
    running.bind(running.user("alice"), ukey)
    run_blocks("docs/operate.md", ukey)
    assert not Path("/etc/usbkey/alice").exists()
    assert ukey.serial in Path("/var/lib/ukey/revoked").read_text()


def installations() -> list[str]:
    """The commands of each block that installs; those that stand in two documents once."""
    found = [*blocks("README.md"), *blocks("docs/install.md")]
    return list(dict.fromkeys(commands for answers, commands in found if answers == "network"))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
@pytest.mark.parametrize("commands", installations())
def test_the_product_installs_on_a_debian_with_nothing_as_described(commands: str) -> None:
    """From a checkout of one's own: packages are built into it."""
    script = f"{AUTHORITIES}apt-get update\ncp -R . /root/pam-ukey\ncd /root/pam-ukey\n{commands}"
    sandbox = [str(CHECKOUT / "scripts" / "sandbox"), "--bare", "--network", "host", "--"]
    done = run([*sandbox, "sh", "-euc", script + "test -x /usr/bin/ukey\n"], seconds=800)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
