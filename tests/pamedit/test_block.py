# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Which stacks are understood, what is made of them, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pam.stacks import auth_lines
from tests.pamcheck.hosts import EXAMPLE, Host
from tests.pamedit.debian import EXAMPLES, STACKS, changes, forbidden
from tools.pamedit.block import Already, NotUnderstood, disabled


@pytest.mark.parametrize("service", ["login", "su", "sshd"])
def test_a_service_gets_the_lines_of_its_example(debian: Host, service: str) -> None:
    (change,) = changes(debian.places, service)
    example = (EXAMPLES / service).read_text()
    assert auth_lines(change.after.decode()) == auth_lines(example)
    assert forbidden(debian.places, [change]) == []
    assert debian.letters(service, change.after) == EXAMPLE


@pytest.mark.parametrize("service", ["login", "su", "sshd", "sudo", "plain"])
def test_the_way_back_leads_to_every_byte(debian: Host, service: str) -> None:
    (change,) = changes(debian.places, service)
    assert disabled(change.after) == change.before
    with pytest.raises(Already):
        disabled(change.before)
    debian.write({service: change.after})
    with pytest.raises(Already):
        changes(debian.places, service)


def test_what_was_changed_elsewhere_stays(debian: Host) -> None:
    (change,) = changes(debian.places, "login")
    more = b"session optional pam_keyinit.so\n"
    assert disabled(change.after + more) == change.before + more


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pam_ukey.so", "pam_ukey.so nouserok"),
        ("auth required                             pam_permit.so\n", ""),
        ("# before: @include common-auth\n", ""),
        ("# ukey pam enable: end\n", ""),
    ],
)
def test_lines_that_were_changed_since_are_left(debian: Host, old: str, new: str) -> None:
    (change,) = changes(debian.places, "login")
    text = change.after.decode()
    assert old in text
    with pytest.raises(NotUnderstood):
        disabled(text.replace(old, new).encode())


def test_an_example_that_was_copied_is_left() -> None:
    with pytest.raises(NotUnderstood, match="not written by"):
        disabled((EXAMPLES / "login").read_bytes())


#: What is done to a stack, by the file, and a word of why it is not changed.
NOT_UNDERSTOOD = {
    "another module": ("login", "@include", "auth required pam_other.so\n@include", "none of"),
    "a jump": ("login", "auth       optional   pam_f", "auth [success=1 default=ok] pam_f", "none"),
    "two passwords": ("login", "@include common-auth", "@include common-auth\n" * 2, "2 places"),
    "no password": ("login", "@include common-auth\n", "", "0 places"),
    "a directory": ("common-auth", "pam_unix.so nullok", "pam_sss.so", "more than"),
    "common-auth's jump": ("common-auth", "success=1", "success=2", "more than"),
    "an include as a type": ("sudo", "@include common-auth", "auth include common-auth", "none of"),
    "a substack": ("sudo", "@include common-auth", "auth substack common-auth", "none of"),
    "a group of people": ("su", "# auth       req", "auth       req", "none of"),
    "a module that may fail": ("login", "optional   pam_group", "required pam_keyinit", "none"),
    "a continued line": ("sshd", "pam_nologin.so", "pam_nologin.so \\", "backslash"),
    "carriage returns": ("sshd", "pam_nologin.so", "pam_nologin.so\r", "another system"),
    "an odd type": ("sshd", "@include common-au", "atuh required x.so\n@include common-au", "no"),
    "words of pam_unix": ("plain", "nullok", "use_first_pass", "none of"),
    "a control": ("plain", "requisite", "sufficient", "none of"),
    "a part of ours": ("login", "@include common-auth", "# ukey pam enable: end\n@include common-"
                       "auth", "changed since"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_not_changed(debian: Host, case: str) -> None:
    name, old, new, why = NOT_UNDERSTOOD[case]
    assert old in STACKS[name]
    debian.write({name: STACKS[name].replace(old, new)})
    with pytest.raises(NotUnderstood, match=why):
        changes(debian.places, "login" if name == "common-auth" else name)


def test_a_stack_that_only_includes_another_is_not_changed(debian: Host) -> None:
    with pytest.raises(NotUnderstood):
        changes(debian.places, "su-l")


def test_a_service_that_nobody_logs_in_by_is_not_changed(debian: Host) -> None:
    with pytest.raises(NotUnderstood, match="nobody logs in"):
        changes(debian.places, "cron")


# -- what forbids a change that is understood


def test_a_missing_module_forbids_it(debian: Host) -> None:
    """Everybody would be shut out."""
    (debian.root / "lib").unlink()
    (debian.root / "usr").unlink()
    modules = debian.root / "lib/x86_64-linux-gnu/security"
    modules.mkdir(parents=True)
    for path in Path("/lib/x86_64-linux-gnu/security").glob("pam_*.so"):
        if path.name != "pam_ukey.so":
            (modules / path.name).symlink_to(path)
    assert ("login", "module-missing") in forbidden(debian.places, changes(debian.places, "login"))


def test_ssh_that_is_not_allowed_from_afar_forbids_it(debian: Host) -> None:
    debian.write({"etc/ukey/keyservice.toml": "[services.sshd]\nfactors_from_afar = []\n"})
    assert forbidden(debian.places, changes(debian.places, "sshd")) == [("sshd", "from-afar")]
    debian.write({"etc/ukey/keyservice.toml": ""})  # by an ssh key
    assert forbidden(debian.places, changes(debian.places, "sshd")) == []
    assert forbidden(debian.places, changes(debian.places, "login")) == []


@pytest.mark.parametrize("file", ["login", "common-account", ""])
def test_a_file_that_others_can_write_forbids_it(debian: Host, file: str) -> None:
    """The copy that is judged is root's alone; this one keeps its mode. ``""``: their folder."""
    path = debian.places.folders[0] / file
    path.chmod(path.stat().st_mode | 0o002)
    found = forbidden(debian.places, changes(debian.places, "login", "su"))
    assert found == [("login", "file-writable")]  # told once


def test_a_line_that_lets_in_before_it_forbids_it(debian: Host) -> None:
    debian.write({"login": "auth sufficient pam_rootok.so\n" + STACKS["login"]})
    found = forbidden(debian.places, changes(debian.places, "login"))
    assert found
    assert {service for service, _kind in found} == {"login"}


def test_who_includes_it_is_judged_too(debian: Host) -> None:
    """su is only safe below su; a service that runs as root is not."""
    debian.write({"gdm-password": "auth include su\naccount include su\n"})
    assert debian.kinds("gdm-password")
    found = forbidden(debian.places, changes(debian.places, "su"))
    assert "su-l" not in dict(found)
