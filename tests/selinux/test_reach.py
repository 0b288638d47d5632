# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Who can reach what is ours: no more than docs/selinux.md names, beside whom Debian's policy lets
reach everything."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.selinux.reach import Policy
from tests.support import CHECKOUT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Documented = Callable[[str], set[str]]
OURS = {"ukey_keyservice_t", "ukey_worker_t"}
#: Confined users, and services that serve the network.
OTHERS = {"user_t", "staff_t", "guest_t", "xguest_t", "httpd_t", "sshd_t", "named_t", "avahi_t"}
#: Our own boolean, off as shipped.
SWITCH = "ukey_pam_services"
#: What one process can do to another.
TO_A_PROCESS = ("ptrace", "sigkill", "sigstop", "signal", "setpgid", "setsched", "setrlimit")
#: What the keyservice does to a worker that does not answer.
ENDING = {"sigkill", "signal"}


@pytest.mark.parametrize(
    "permission", ("read", "write", "append", "create", "rename", "unlink", "setattr", "map")
)
@pytest.mark.parametrize(("kind", "row"), (("ukey_etc_t", "records"), ("ukey_var_lib_t", "state")))
def test_one_domain_has_records_and_state(
    policy: Policy, documented: Documented, kind: str, row: str, permission: str
) -> None:
    who = policy.who(kind, "file", permission)
    assert who == ({"ukey_keyservice_t"} if permission != "map" else set())
    assert documented(row) == {"ukey_keyservice_t"}


def test_nobody_is_given_the_records_by_an_attribute(policy: Policy) -> None:
    for kind in ("ukey_etc_t", "ukey_var_lib_t", "ukey_runtime_t", "ukey_root_socket_t"):
        assert policy.attributes(kind) == {"ukey_private_type"}
    assert policy.members("ukey_records_manager") == set()


@pytest.mark.parametrize("kind", ("ukey_etc_t", "ukey_var_lib_t"))
def test_whoever_relabels_and_lays_mounts_is_named(
    policy: Policy, documented: Documented, kind: str
) -> None:
    rights = ("search", "read", "create", "rmdir", "setattr", "relabelfrom", "relabelto", "mounton")
    keepers = policy.who(kind, "dir", *rights)
    assert keepers - {"ukey_keyservice_t"} == documented("folders of records")
    assert policy.who(kind, "dir", "mounton") == {"init_t"}
    assert policy.who(kind, "file", "relabelfrom") == {"setfiles_t"}
    assert policy.who(kind, "file", "relabelto") == {"setfiles_t"}


def by_our_boolean(policy: Policy, *asked: str) -> set[str]:
    return policy.who(*asked, switched=SWITCH) - policy.who(*asked, as_shipped=True)


def but_for_our_boolean(policy: Policy, *asked: str) -> set[str]:
    return policy.who(*asked) - by_our_boolean(policy, *asked)


@pytest.mark.parametrize("name", ("root", "user"))
def test_the_sockets(policy: Policy, documented: Documented, name: str) -> None:
    door = but_for_our_boolean(policy, f"ukey_{name}_socket_t", "sock_file", "write")
    who = door & policy.who("ukey_keyservice_t", "unix_stream_socket", "connectto")
    assert who - {"init_t"} == documented(f"`{name}.sock`")
    assert not who & ({"guest_t"} if name == "root" else set())


def test_no_user_and_no_other_service_asks_as_root(policy: Policy) -> None:
    assert not policy.who("ukey_root_socket_t", "sock_file", "write") & (OTHERS - {"sshd_t"})


def test_connecting_without_a_socket_to_find_is_only_for_whom_debian_lets(
    policy: Policy, ordinary: Policy, documented: Documented
) -> None:
    """An abstract address would need no file."""
    args = "unix_stream_socket", "connectto"
    added = but_for_our_boolean(policy, "ukey_keyservice_t", *args)
    added -= ordinary.who("ordinary_t", *args)
    assert added <= documented("`root.sock`") | documented("`user.sock`")


def test_nobody_but_systemd_makes_what_logins_connect_to(policy: Policy) -> None:
    """Who could, would answer for the keyservice."""
    for permission in ("write", "add_name", "remove_name"):
        assert policy.who("ukey_runtime_t", "dir", permission) == {"init_t"}
    for kind in ("ukey_root_socket_t", "ukey_user_socket_t"):
        for permission in ("create", "unlink", "rename", "link"):
            assert policy.who(kind, "sock_file", permission) == {"init_t"}


def test_the_bus(policy: Policy, ordinary: Policy, documented: Documented) -> None:
    before = ordinary.who("ordinary_t", "dbus", "send_msg") - {"ordinary_t"}
    added = policy.who("ukey_keyservice_t", "dbus", "send_msg") - before
    assert added - OURS == documented("the bus")


@pytest.mark.parametrize("domain", sorted(OURS))
@pytest.mark.parametrize("permission", TO_A_PROCESS)
def test_a_process_is_reached_by_whom_debian_lets_reach_every_one(
    policy: Policy, ordinary: Policy, domain: str, permission: str
) -> None:
    before = ordinary.who("ordinary_t", "process", permission) - {"ordinary_t"}
    added = policy.who(domain, "process", permission) - before - {domain}
    ends = domain == "ukey_worker_t" and permission in ENDING
    assert added == ({"ukey_keyservice_t"} if ends else set())
    kills_all = {"sshd_t"} if permission == "sigkill" else set()  # as every login program does
    assert policy.who(domain, "process", permission) & OTHERS == kills_all


def number(pattern: str) -> int:
    """That docs/selinux.md tells."""
    [found] = re.findall(pattern, (CHECKOUT / "docs/selinux.md").read_text())
    return int(found)


def test_the_numbers_of_debian_s_policy(policy: Policy) -> None:
    """Whom files_auth_file() opens a type to, and whom no module can keep away."""
    assert len(policy.who("shadow_t", "file", "read", as_shipped=True)) == number(
        r"can be read by (\d+) types"
    )
    unconfined = policy.members("unconfined_domain_type")
    assert len(unconfined) == number(r"lets (\d+) unconfined types")


def beside_the_unconfined(policy: Policy, found: set[str]) -> set[str]:
    return found - policy.members("unconfined_domain_type") - OURS


def test_whoever_else_ends_the_keyservice_is_named(policy: Policy, documented: Documented) -> None:
    for domain in OURS:
        enders = policy.who(domain, "process", "sigkill", "sigstop", "signal")
        assert beside_the_unconfined(policy, enders) == documented("the keyservice, ended")


def test_whoever_else_stops_the_unit_is_named(policy: Policy, documented: Documented) -> None:
    stoppers = policy.who("ukey_unit_t", "service", "stop")
    assert beside_the_unconfined(policy, stoppers) == documented("the unit, stopped")


def test_whoever_else_changes_the_configuration_is_named(
    policy: Policy, documented: Documented
) -> None:
    """Who relabels a file can make it one that it writes."""
    file = ("write", "append", "create", "rename", "unlink", "setattr", "relabelfrom")
    folder = ("add_name", "remove_name", "rename", "setattr", "relabelfrom", "mounton")
    changers = policy.who("ukey_conf_t", "file", *file)
    changers |= policy.who("ukey_conf_t", "dir", *folder)
    assert beside_the_unconfined(policy, changers) == documented("`/etc/ukey`, changed")


@pytest.mark.parametrize("domain", sorted(OURS))
def test_a_process_s_memory_and_descriptors_too(
    policy: Policy, ordinary: Policy, domain: str
) -> None:
    for tclass, permission in (("file", "write"), ("fd", "use"), ("key", "read")):
        before = ordinary.who("ordinary_t", tclass, permission) - {"ordinary_t"}
        added = policy.who(domain, tclass, permission) - before
        assert added <= OURS


def test_each_domain_is_entered_in_one_way(policy: Policy) -> None:
    for permission in ("transition", "dyntransition"):
        entered = policy.who("ukey_keyservice_t", "process", permission)
        assert entered <= {"init_t", "initrc_t"}
        assert policy.who("ukey_worker_t", "process", permission) <= {"ukey_keyservice_t"}


def test_pcscd(policy: Policy, ordinary: Policy, documented: Documented) -> None:
    def reach(policy: Policy, *, as_shipped: bool = False) -> set[str]:
        door = policy.who("pcscd_runtime_t", "sock_file", "write", as_shipped=as_shipped)
        connect = "unix_stream_socket", "connectto"
        return door & policy.who("pcscd_t", *connect, as_shipped=as_shipped)

    assert reach(policy) - reach(ordinary) == documented("pcscd") == {"ukey_worker_t"}
    assert len(reach(ordinary, as_shipped=True)) == number(
        r"beside (\d+) types that Debian lets connect"
    )


def test_a_boolean_lets_the_rest_that_uses_pam_ask(policy: Policy) -> None:
    added = by_our_boolean(policy, "ukey_root_socket_t", "sock_file", "write")
    assert "ftpd_t" in added
    assert added <= policy.members("pam_domain")
