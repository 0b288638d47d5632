# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the domains may do, should they be taken over."""

from __future__ import annotations

import pytest

from tests.selinux.reach import Policy

pytestmark = pytest.mark.timeout(400)

DOMAINS = ("ukey_keyservice_t", "ukey_worker_t")
OWN = {
    "ukey_keyservice_t": {"ukey_keyservice_t", "ukey_etc_t", "ukey_var_lib_t"},
    "ukey_worker_t": {"ukey_worker_t"},
}
WRITING = {"append", "create", "link", "rename", "setattr", "unlink", "write"}
#: systemd's memory file behind StandardInputText=; none is there.
MEMORY_FILE = "init_tmpfs_t"


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_writes_only_its_own(policy: Policy, domain: str) -> None:
    written = {
        target
        for target, tclass, permission in policy.may(domain)
        if tclass in ("file", "dir", "lnk_file") and permission in WRITING | {"add_name"}
    }
    assert written - {MEMORY_FILE} == OWN[domain]


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_runs_nothing(policy: Policy, domain: str) -> None:
    """Neither a shell nor anything else, in its own domain or another, but workers."""
    may = policy.may(domain)
    assert not [each for each in may if each[2] == "execute_no_trans"]
    entered = {each[0] for each in may if each[2] in ("transition", "dyntransition")}
    assert entered == ({"ukey_worker_t"} if domain == "ukey_keyservice_t" else set())
    assert not [each for each in may if each[0] == "shell_exec_t"]


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_opens_no_network_socket(policy: Policy, domain: str) -> None:
    made = {
        tclass
        for _, tclass, permission in policy.may(domain)
        if tclass.endswith("socket") and permission == "create"
    }
    assert made <= {"unix_stream_socket", "unix_dgram_socket"}


@pytest.mark.parametrize("secret", ("shadow_t", "user_home_t", "user_home_dir_t", "sshd_key_t"))
def test_neither_reads_secrets(policy: Policy, secret: str) -> None:
    for tclass in ("file", "dir"):
        assert not policy.who(secret, tclass, "read") & set(DOMAINS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_has_no_capability_and_orders_nothing_of_systemd(policy: Policy, domain: str) -> None:
    classes = {"capability", "capability2", "cap_userns", "service", "system", "security"}
    assert not [each for each in policy.may(domain) if each[1] in classes]


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_touches_no_device(policy: Policy, domain: str) -> None:
    """Terminals are looked at by the keyservice, to know where a login comes from."""
    nodes = {
        target
        for target, tclass, permission in policy.may(domain)
        if tclass in ("blk_file", "chr_file") and permission in ("read", "write")
    }
    assert not {each for each in nodes if "usb" in each or "disk" in each or "memory" in each}


def test_the_worker_sees_no_record_and_no_configuration(policy: Policy) -> None:
    assert not [each for each in policy.may("ukey_worker_t") if each[0].startswith("ukey_etc")]
    assert not [each for each in policy.may("ukey_worker_t") if each[0].startswith("ukey_conf")]
    assert not [each for each in policy.may("ukey_worker_t") if each[0].startswith("ukey_var")]


def test_the_keyservice_sees_no_reader(policy: Policy) -> None:
    assert not [each for each in policy.may("ukey_keyservice_t") if each[0].startswith("pcscd")]
