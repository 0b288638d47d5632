# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""A host whose OpenSSL is in FIPS mode, or lacks an algorithm by its policy: each program says so
in one line, and the remedy of the manual page works. It is the real OpenSSL, configured so."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.pam.modules import ENTRY
from tests.support import CHECKOUT
from tests.support.host import Host
from tests.support.process import run

#: The distribution's: a package like gmssl would stand in for OpenSSL.
PYTHON = "/usr/bin/python3"
KEYSERVICE = "/usr/libexec/ukey/keyservice"
CONFIGURATION = Path("/etc/ssl/openssl.cnf")

_CONF = """openssl_conf = own
[own]
providers = providers
alg_section = algorithms
[providers]
base = base
{providers}
[base]
activate = 1
[fips]
module = fips.so
activate = 1
[algorithms]
{properties}
"""
_FIPS = "default_properties = fips=yes"
#: What the host's configuration is; what is missing then, and why.
HOSTS = {
    "only base": (("", ""), "SM2, SM3, SM4", "leaves that out"),
    "fips without its module": (("fips = fips", _FIPS), "SM2, SM3, SM4", "into FIPS mode"),
    # hashlib has SM3 in spite of it: nothing secret is made by it
    "fips by properties": (("default = base", _FIPS), "SM2, SM4", "into FIPS mode"),
}
TRACEBACK = re.compile(r"Traceback|File \"|Error:")


def configure(host: Host, name: str) -> tuple[str, str]:
    """Make it a host of :data:`HOSTS`; what is missing from then on, and why."""
    (providers, properties), names, why = HOSTS[name]
    host.keep(CONFIGURATION)
    CONFIGURATION.write_text(_CONF.format(providers=providers, properties=properties))
    return names, why


@pytest.fixture(params=HOSTS)
def lacking(request: pytest.FixtureRequest, host: Host) -> tuple[str, str]:
    return configure(host, request.param)


def _encoded(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


#: Made before any host is configured.
KEYS = {
    "p256": _encoded(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "rsa": _encoded(rsa.generate_private_key(65537, 2048).public_key()),
    "ed25519": _encoded(ed25519.Ed25519PrivateKey.generate().public_key()),
}


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of standard error."""
    assert not TRACEBACK.search(done.stdout + done.stderr), done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_the_service_says_what_is_missing_and_does_not_start(
    lacking: tuple[str, str], host: Host
) -> None:
    names, why = lacking
    host.authlog.forget()
    done = run([KEYSERVICE, "--socket-dir", str(host.folder / "run")])
    assert done.returncode == 78
    line = told(done)
    assert f"does not offer {names}, which ukeys need: " in line
    assert why in line
    assert "keyservice(8)" in line
    host.authlog.wait_for(f"does not offer {names}, which ukeys need")
    assert not TRACEBACK.search("\n".join(line.text for line in host.authlog.lines))


def test_what_is_run_by_hand_says_it_too(lacking: tuple[str, str]) -> None:
    names, _why = lacking
    checked = run([KEYSERVICE, "--check-config"])
    assert checked.returncode == 78
    assert f"does not offer {names}" in told(checked)
    assert "SM2 engine openssl: " in checked.stdout
    state = run([KEYSERVICE, "--check-state"])
    assert not TRACEBACK.search(state.stdout + state.stderr)
    for program in ("users-may", "glass-console"):
        done = run([f"/usr/libexec/ukey/{program}", "--help"])
        assert (done.returncode, done.stderr) == (0, "")


def test_the_commands_say_why_no_service_answers(lacking: tuple[str, str]) -> None:
    names, _why = lacking
    for command in (["getpubkey", "root"], ["chpinpw"]):
        done = run(command, input="")
        assert done.returncode == 3
        assert f"does not offer {names}" in done.stderr
        assert not TRACEBACK.search(done.stderr)
        chinese = run(command, input="", env={**os.environ, "LANG": "zh_CN.UTF-8"})
        assert f"本机的 OpenSSL 不提供 ukey 所需的 {names}" in chinese.stderr
    answer = json.loads(run(["ukey", "status", "--json"]).stdout)
    assert not answer["ok"]


def test_a_device_worker_ends_with_one_line(lacking: tuple[str, str]) -> None:
    code = (
        "import sys; sys.path.insert(0, '/usr/lib/ukey');"
        "from keyservice.ukeys import device, worker;"
        "worker.main = lambda: worker.kinds.prepare();"
        "sys.argv = ['x', 'worker']; device.main()"
    )
    done = run([PYTHON, "-I", "-c", code])
    assert done.returncode == 5
    assert "does not offer SM4" in told(done)


def test_the_pam_python_module_is_loaded_and_asks(lacking: tuple[str, str]) -> None:
    """A login ends as without a service, and shows no traceback."""
    code = (
        "import runpy, sys; sys.path.insert(0, '/usr/lib/ukey');"
        f"runpy.run_path('{ENTRY}'); import pam_ukey.session, pam_ukey.calls"
    )
    done = run([PYTHON, "-I", "-c", code])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["p256", "rsa", "ed25519"])
def test_a_key_that_cannot_be_checked_is_not_called_wrong(
    lacking: tuple[str, str], name: str
) -> None:
    """`cryptography` brings OpenSSL's default provider along; properties still take from it."""
    code = f"""
import sys; sys.path.insert(0, {str(CHECKOUT)!r})
from keyservice.core.errors import CryptoMissing
from keyservice.crypto import algorithms
from keyservice.crypto.key import PublicKey
key = PublicKey({name!r}, {KEYS[name]!r})
try:
    algorithms.check(key)
    assert not algorithms.verify(key, b"message", bytes(256 if key.algorithm == "rsa" else 64))
except CryptoMissing as error:
    print(error)
else:
    print("works")
"""
    done = run([PYTHON, "-I", "-c", code])
    assert not done.stderr
    assert ("does not offer" in done.stdout) == ("FIPS" in lacking[1])
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("name", HOSTS)
def test_the_remedy_of_the_manual_page_is_carried_out(host: Host, name: str) -> None:
    page = (CHECKOUT / "data/man/keyservice.8.in").read_text().partition(".SH FIPS MODE")[2]
    text = page.partition(".EX\n")[2].partition(".EE")[0]
    assert "[Service]\nEnvironment=OPENSSL_CONF=/etc/ukey/openssl.cnf\n" in page
    own = host.folder / "openssl.cnf"
    own.write_text(text)
    host.pcscd()
    softkey, demo = host.softkey(), host.user()
    configure(host, name)
    host.keyservice(env={"OPENSSL_CONF": str(own)})
    host.bind(demo, softkey)
