# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""What the domains may do, should they be taken over."""

from __future__ import annotations

import pytest

from tests.selinux.reach import Policy

pytestmark = pytest.mark.timeout(600)

DOMAINS = ("ukey_keyservice_t", "ukey_worker_t")
OWN = {
    "ukey_keyservice_t": {"ukey_keyservice_t", "ukey_etc_t", "ukey_var_lib_t"},
    "ukey_worker_t": {"ukey_worker_t"},
}
WRITING = {"append", "create", "link", "rename", "setattr", "unlink", "write"}
#: Devices that they may open: no disk, reader or memory. Debian gives null, zero and a process's
#: own terminal to all, the terminals of init scripts to each daemon, and the console to whoever
#: logs; that the unit's DevicePolicy= closes.
DEVICES = {
    "ukey_keyservice_t": {
        "console_device_t",
        "devtty_t",
        "initrc_devpts_t",
        "null_device_t",
        "urandom_device_t",
        "zero_device_t",
    },
    "ukey_worker_t": {"devtty_t", "null_device_t", "urandom_device_t", "zero_device_t"},
}
#: And where the boolean init_daemons_use_tty is on. (urandom: global_ssp.)
DEVICES_BY_BOOLEAN = {
    "ukey_keyservice_t": {"devpts_t", "ptynode", "tty_device_t", "ttynode", "urandom_device_t"},
    "ukey_worker_t": {"urandom_device_t"},
}
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
@pytest.mark.parametrize("by_boolean", (False, True))
def test_it_opens_no_device_but_what_every_daemon_does(
    policy: Policy, domain: str, by_boolean: bool
) -> None:
    """Terminals are looked at by the keyservice, to know where a login comes from."""
    nodes = {
        target
        for target, tclass, permission in policy.may(domain, by_boolean=by_boolean)
        if tclass in ("blk_file", "chr_file") and permission != "getattr"
    }
    assert nodes == (DEVICES_BY_BOOLEAN if by_boolean else DEVICES)[domain]


def seen(policy: Policy, target: str) -> set[str]:
    """Who may do anything with such a file, folder or socket, whatever booleans say."""
    rights = {
        "file": ("getattr", "read", "write", "append", "open", "map", "create", "unlink"),
        "dir": ("getattr", "read", "search", "write", "add_name", "open"),
        "sock_file": ("getattr", "read", "write", "open"),
    }
    return {
        each
        for tclass, permissions in rights.items()
        for each in policy.who(target, tclass, *permissions)
    }


@pytest.mark.parametrize(
    "kind",
    (
        "ukey_etc_t",
        "ukey_var_lib_t",
        "ukey_conf_t",
        "ukey_runtime_t",
        "ukey_root_socket_t",
        "ukey_user_socket_t",
    ),
)
def test_the_worker_sees_no_record_no_configuration_and_no_asker(policy: Policy, kind: str) -> None:
    who = seen(policy, kind)
    assert "init_t" in who  # the query does find those who do
    assert "ukey_worker_t" not in who


def test_the_keyservice_sees_no_reader(policy: Policy) -> None:
    assert "ukey_worker_t" in seen(policy, "pcscd_runtime_t")
    assert "ukey_keyservice_t" not in seen(policy, "pcscd_runtime_t")
    rights = ("connectto", "read", "write")
    who = policy.who("pcscd_t", "unix_stream_socket", *rights)
    assert "ukey_keyservice_t" not in who
