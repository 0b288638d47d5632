# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""sshd's stack where an ssh key is asked for: only sshd may have said which key it has verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyservice.access import ssh_stack
from keyservice.core.errors import SshKeyUntold
from tests.pamcheck.hosts import STRICT_STACK, Host
from tools.pamcheck import ssh_key
from tools.pamcheck.finding import Severity
from tools.pamcheck.places import Places

FILE = "etc/ukey/keyservice.toml"
TAKES = f"{ssh_key.TAKES}\n"
READS = "auth required pam_env.so user_readenv=1\n"
PLAIN = "auth required pam_env.so\n"
#: Stacks, and the kinds of what is found about them.
STACKS: dict[str, list[tuple[str, Severity]]] = {
    TAKES + STRICT_STACK: [],
    TAKES + PLAIN + STRICT_STACK: [],
    TAKES + STRICT_STACK + READS: [],
    STRICT_STACK: [("ssh-key-not-taken", Severity.SHUT)],
    STRICT_STACK + TAKES: [("ssh-key-not-taken", Severity.SHUT)],
    PLAIN + TAKES + STRICT_STACK: [("ssh-key-not-taken", Severity.SHUT)],
    READS + TAKES + STRICT_STACK: [("ssh-key-not-taken", Severity.SHUT)],
    "@include common-auth\n" + TAKES + STRICT_STACK: [("ssh-key-not-taken", Severity.SHUT)],
    TAKES + READS + STRICT_STACK: [("ssh-key-overwritten", Severity.NOTE)],
    TAKES + "auth optional pam_python.so /lib/x.py\n" + STRICT_STACK: [
        ("ssh-key-overwritten", Severity.NOTE)
    ],
}


def found(place: Host, service: str = "sshd") -> list[tuple[str, Severity]]:
    findings = place.check(service).findings
    return [(each.kind, each.severity) for each in findings if each.kind.startswith("ssh-key-")]


@pytest.mark.parametrize("text", STACKS)
def test_what_is_found_is_what_the_keyservice_refuses(place: Host, text: str) -> None:
    place.write({FILE: "", "common-auth": PLAIN, "sshd": text})
    assert found(place) == STACKS[text]
    refused = False
    try:
        ssh_stack.check("sshd", [place.pam_d])
    except SshKeyUntold:
        refused = True
    assert refused == any(severity is Severity.SHUT for _, severity in STACKS[text])


def test_the_module_that_may_write_is_named_with_its_line(place: Host) -> None:
    place.write({FILE: "", "sshd": PLAIN + READS + TAKES + STRICT_STACK})
    [finding] = [each for each in place.check("sshd").findings if each.kind == "ssh-key-not-taken"]
    assert finding.place.endswith("sshd:2") and "pam_env" in finding.text
    assert finding.line == ssh_key.TAKES


@pytest.mark.parametrize("service", ["sshd", "su"])
def test_where_no_key_is_asked_for_nothing_is_said(place: Host, service: str) -> None:
    place.write({FILE: "[services.sshd]\nfactors_from_afar = ['ukey']\n", service: STRICT_STACK})
    assert found(place, service) == []
    place.write({FILE: "", "sshd": "auth required pam_unix.so\n"})  # asks for no ukey
    assert found(place) == []


def test_whether_a_key_alone_counts(place: Host) -> None:
    def alone(config: str, stack: str = STRICT_STACK) -> bool:
        place.write({FILE: config, "sshd": stack})
        return ssh_key.alone(Places(place.root))

    assert alone("")
    assert not alone("[services.sshd]\nfactors_from_afar = ['ssh-key', 'ukey']\n")
    assert not alone("[services.sshd]\nfactors_from_afar = []\n")
    assert not alone("", "auth required pam_unix.so\n")
    Path(place.pam_d / "sshd").unlink()
    assert not ssh_key.alone(Places(place.root))
