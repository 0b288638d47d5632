# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""People whom the keyservice refuses for where they are: the verdict follows its configuration."""

from __future__ import annotations

import pytest

from keyservice import config
from keyservice.access.asking import asking
from keyservice.core.errors import ConfigurationError
from tests.pamcheck.hosts import STRICT_STACK, Host
from tests.support import CHECKOUT
from tests.tools.running import Commands
from tools.exits import Exit
from tools.pamcheck.afar import Afar, afar
from tools.pamcheck.places import Places
from tools.pamcheck.table import Verdict, Who
from tools.pamcheck.world import Password, Ukey

FILE = "etc/ukey/keyservice.toml"
BOTH = (Password.RIGHT, Ukey.VERIFIED)
EXAMPLE = STRICT_STACK.replace("requisite", "required")
ALLOWING = "[services.{}]\nfactors_from_afar = ['ukey']\n"
REFUSING = "[services.{}]\nfactors_from_afar = []\n"
NOT_OF_ITS_OWN = {
    "": Afar.ALLOWED,  # by an ssh key
    "# nothing\n": Afar.ALLOWED,
    "[services.sshd]\nwait_for_ukey = 3\n": Afar.ALLOWED,
    "[services.sshd]\nfactors_from_afar = []\n": Afar.REFUSED,
    "[services.SSHD]\nfactors_from_afar = []\n": Afar.ALLOWED,
    "[services.su]\nfactors_from_afar = []\n": Afar.ALLOWED,
    "services.sshd.factors_from_afar = []\n": Afar.REFUSED,
    '[services."sshd"]\nfactors_from_afar = ["ukey"]\n': Afar.ALLOWED,
    "[services.sshd]\nfactors_from_afar = 'ukey'\n": Afar.NOT_KNOWN,
    "[services.sshd]\nfactors_from_afar = ['ukeys']\n": Afar.NOT_KNOWN,
    "[services.sshd]\nfactors_from_afar = [['ukey']]\n": Afar.NOT_KNOWN,
    "[services.sshd]\nfactors_from_afar = ['ukey', 'ukey', 'ukey']\n": Afar.NOT_KNOWN,
    "[services.sshd]\nfactors_from_afar = ['session']\n": Afar.NOT_KNOWN,
    "[services.sshd]\nallow_remote = true\n": Afar.NOT_KNOWN,
    "services = 3\n": Afar.NOT_KNOWN,
    "services.sshd = true\n": Afar.NOT_KNOWN,
    "[services.sshd\n": Afar.NOT_KNOWN,
}


def asked(text: str, service: str) -> bool:
    """Whether the keyservice itself asks people from afar for something."""
    return bool(asking(config.parse(text).rules, service, local=False, host=True).names)


@pytest.mark.parametrize("text", NOT_OF_ITS_OWN)
def test_the_file_is_read_as_the_keyservice_reads_it(place: Host, text: str) -> None:
    place.write({FILE: text})
    found = afar(Places(place.root), "sshd")
    assert found is NOT_OF_ITS_OWN[text]
    if found is Afar.NOT_KNOWN:
        with pytest.raises(ConfigurationError):
            config.parse(text)
    else:
        assert asked(text, "sshd") == (found is Afar.ALLOWED)


def test_a_session_is_shown_only_by_programs_inside_one(place: Host) -> None:
    text = "".join(
        f"[services.{name}]\nfactors_from_afar = ['session']\n" for name in ("su", "rsh")
    )
    config.parse(text)
    place.write({FILE: text})
    assert afar(Places(place.root), "su") is Afar.ALLOWED
    assert afar(Places(place.root), "rsh") is Afar.REFUSED


@pytest.mark.parametrize("service", ["su", "su-l", "sudo", "sudo-i"])
@pytest.mark.parametrize("named", ["su", "su-l", "sudo", "sudo-i"])
def test_a_service_that_is_another_one_too(place: Host, service: str, named: str) -> None:
    text = ALLOWING.format(named)
    place.write({FILE: text})
    allowed = asked(text, service)
    assert afar(Places(place.root), service) is (Afar.ALLOWED if allowed else Afar.REFUSED)
    assert allowed == (service in (named, f"{named}-l", f"{named}-i"))


@pytest.mark.parametrize("service", ["sshd", "remote"])
def test_a_service_for_people_from_afar_lets_nobody_in(place: Host, service: str) -> None:
    place.write({FILE: REFUSING.format(service)})
    checked = place.check(service, EXAMPLE)
    assert checked.table is not None
    assert checked.table.cells[BOTH].verdict is Verdict.OUT
    assert checked.who is Who.NOBODY
    [finding] = [each for each in checked.findings if each.severity.value != "note"]
    assert (finding.kind, finding.severity.value) == ("from-afar", "shut")
    assert finding.line == 'factors_from_afar = ["ukey"]'
    assert f"[services.{service}]" in finding.remedy
    place.write({FILE: ALLOWING.format(service)})
    checked = place.check(service)
    assert checked.table is not None
    assert checked.table.cells[BOTH].verdict is Verdict.IN
    assert "from-afar" not in place.kinds(service)


def test_break_glass_is_no_way_in_from_afar(place: Host) -> None:
    """The shipped stack for sshd has its gate, which opens on a console only."""
    place.write({FILE: REFUSING.format("sshd")})
    sshd = CHECKOUT / "pam.d-examples/debian/helpful/sshd"
    lines = [line for line in sshd.read_text().splitlines() if not line.startswith("@")]
    assert place.kinds("sshd", "\n".join(lines) + "\n")["from-afar"] == f"/{FILE}"


@pytest.mark.parametrize("service", ["su", "sudo", "polkit-1", "somelocker"])
def test_a_service_for_both_depends_on_where_the_person_is(place: Host, service: str) -> None:
    place.write({FILE: ""})
    checked = place.check(service, EXAMPLE)
    assert checked.table is not None
    cell = checked.table.cells[BOTH]
    assert cell.verdict is Verdict.DEPENDS
    assert checked.table.text(cell.provided) == ["where the person is at this machine"]
    # It still takes both.
    assert checked.who is Who.BOTH
    assert all(not each.ways for key, each in checked.table.cells.items() if key != BOTH)
    place.write({FILE: ALLOWING.format(service)})
    checked = place.check(service)
    assert checked.table is not None and checked.table.cells[BOTH].verdict is Verdict.IN


@pytest.mark.parametrize("service", ["login", "gdm-password"])
def test_a_service_for_people_at_hand_is_not_concerned(place: Host, service: str) -> None:
    place.write({FILE: ""})
    checked = place.check(service, EXAMPLE)
    assert checked.table is not None and checked.table.cells[BOTH].verdict is Verdict.IN
    assert "from-afar" not in place.kinds(service)


def test_a_way_around_the_ukey_stays_open_from_afar(place: Host) -> None:
    """An open stack passes over the refusal of the keyservice."""
    place.write({FILE: REFUSING.format("sshd")})
    checked = place.check("sshd", "auth required pam_unix.so\nauth sufficient pam_ukey.so\n")
    assert checked.who is Who.PASSWORD
    assert "password-alone" in place.kinds("sshd")
    # A stack without a ukey asks nothing of the keyservice.
    assert place.check("sshd", "auth required pam_unix.so\n").who is Who.PASSWORD
    assert "from-afar" not in place.kinds("sshd")
    # A stack that keeps everybody out does so for another reason.
    assert "nobody" in place.kinds("sshd", "auth required pam_deny.so\n" + EXAMPLE)


def test_a_configuration_that_is_not_understood_proves_nothing(place: Host) -> None:
    place.write({FILE: "[services.sshd\n"})
    checked = place.check("sshd", EXAMPLE)
    assert checked.table is not None
    assert checked.table.cells[BOTH].verdict is Verdict.DEPENDS
    [finding] = [each for each in checked.findings if each.kind == "from-afar"]
    assert finding.severity.value == "shut"
    assert "is not known" in finding.text


def test_it_is_shown(commands: Commands, place: Host) -> None:
    place.write({FILE: REFUSING.format("sshd"), "su": EXAMPLE, "sshd": EXAMPLE})
    root = ("--root", str(place.root), "--stacks-only")
    done = commands.piped("ukey", "pam", "check", *root, "su")
    assert done.returncode == Exit.OK
    assert "[1] in: where the person is at this machine" in done.stdout
    assert commands.piped("ukey", "pam", "check", *root, "sshd").returncode == Exit.STACK
    chinese = {"LANG": "zh_CN.UTF-8"}
    done = commands.piped("ukey", "pam", "check", *root, "su", environment=chinese)
    assert "本机" in done.stdout
