# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""su and sudo in a user's own namespaces, where the user is root and says who the keyservice is.

There the kernel takes no notice of the setuid bit: whatever PAM says inside, the user stays who he
is outside, and that is whom the keyservice sees.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conditions import Condition
from .scene import DEADLINE, NO_PIN, Scene

IMPOSTOR = Path(__file__).with_name("impostor_socket.py")
_UNSHARE = ["unshare", "--user"]
_OWN_RUN = [
    *_UNSHARE,
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    f"""
    cd "$(mktemp -d -p "$HOME/state")" && mkdir -p run/ukey && mount --bind run /run || exit
    {sys.executable} -I {IMPOSTOR} /run/ukey/root.sock /run/ukey/user.sock >asked 2>&1 &
    until grep -q ready asked; do sleep 0.02; done
    exec "$@"
    """,
    "sh",
]
#: Before that: demo is root, and sudo's policy lets everybody do all; its files are root's inside.
_OWN_SUDO = """
    printf '%s:*:0:0::/:/bin/sh\n' root demo >passwd && mount --bind passwd /etc/passwd || exit
    cp -r /usr/libexec/sudo plugins && mount --bind plugins /usr/libexec/sudo || exit
    printf '%s\n' 'Defaults preserve_groups' 'ALL ALL = (ALL) ALL' >sudoers && chmod 0400 sudoers
    for part in policy audit; do
        echo "Plugin sudoers_$part sudoers.so sudoers_mode=0400 sudoers_file=$PWD/sudoers"
    done >sudo.conf
    mount --bind sudo.conf /etc/sudo.conf || exit
    exec "$@"
"""
_HOME = {"HOME": "{u}"}
NAMESPACES = {
    "nobody inside": Condition(via=_UNSHARE),
    "root inside": Condition(via=[*_UNSHARE, "--map-root-user"]),
    "root inside, with a keyservice of his own": Condition(_HOME, via=_OWN_RUN),
    "a user inside, with a keyservice of root's there": Condition(
        _HOME, via=[*_OWN_RUN, *_UNSHARE, "--map-user=1000"]
    ),
    "root inside, with a sudo of his own": Condition(
        _HOME, via=[*_OWN_RUN, "sh", "-c", _OWN_SUDO, "sh"]
    ),
}
#: Who fails by PAM, as su logs it from inside; that the password cannot be checked there.
_SU_FAILS = {
    "nobody inside": ("nobody", "Authentication failure"),
    "root inside": ("root", "Authentication failure"),
    "root inside, with a keyservice of his own": ("root", "Authentication failure"),
    "a user inside, with a keyservice of root's there": (
        "demo",
        "Authentication service cannot retrieve authentication info",
    ),
}
#: sudo itself. A user can have one uid inside: as root he is asked for nothing, else the setuid bit
#: does nothing. So sudo never authenticates there, and what keyservice there is changes nothing.
_SUDO_FAILS = {
    "nobody inside": "must be owned by uid 0 and have the setuid bit set",
    "root inside": "no valid sudoers sources found",
}


def check_nobody(scene: Scene, program: str, case: str, reason: str) -> None:
    """With right and wrong answers alike, `program` ends for the reason and lets nobody in."""
    password, pin = scene.right(program)
    with ThreadPoolExecutor() as pool:
        attempts = [
            pool.submit(scene.attempt, program, NAMESPACES[case], answers)
            for answers in ([password, pin], [password, NO_PIN], ["wrong"])
        ]
    for each in attempts:
        attempt = each.result()
        scene.check_start(attempt.pid, program, NAMESPACES[case], attempt.output)
        assert reason in attempt.output, attempt
        assert not attempt.entered, attempt
        assert attempt.status > 0, attempt
        assert attempt.seconds < DEADLINE
    assert not scene.watcher.by_root(scene.folder)
    assert scene.attempt(program, Condition(), scene.right(program)).entered


@pytest.mark.parametrize("case", _SU_FAILS)
def test_su_makes_nobody_anybody(scene: Scene, case: str) -> None:
    who, reason = _SU_FAILS[case]
    check_nobody(scene, "su", case, f"su: {reason}")
    scene.wait_log(rf"^su\[\d+\]: FAILED SU \(to demo\) {who} on ")


@pytest.mark.parametrize("case", _SUDO_FAILS)
def test_sudo_refuses_before_it_asks_pam(scene: Scene, case: str) -> None:
    check_nobody(scene, "sudo", case, _SUDO_FAILS[case])


def test_a_sudo_that_pam_lets_through_makes_the_user_himself(scene: Scene) -> None:
    """All that sudo and PAM know there is his: who demo is, too."""
    scene.host.pam.stack("sudo", scene.sudo + "account optional pam_warn.so\n")
    attempt = scene.attempt("sudo", NAMESPACES["root inside, with a sudo of his own"], [])
    assert attempt.status == 0, attempt
    scene.wait_log(r"^sudo: pam_warn\(sudo:account\): .*ruser=\[root\]")
    scene.wait_log(r"^sudo: pam_unix\(sudo:session\): session opened for user demo\(uid=0\)")
    assert scene.shells(attempt.pid) == [scene.alice.uid]
    assert not scene.watcher.by_root(scene.folder)


def test_a_keyservice_that_is_root_only_inside_is_believed_only_inside(scene: Scene) -> None:
    """The ukey's line alone, so that it is asked, and says yes."""
    scene.host.pam.stack("su", "auth required pam_ukey.so\naccount required pam_permit.so\n")
    case = NAMESPACES["root inside, with a keyservice of his own"]
    attempt = scene.attempt("su", case, [])
    said = {path.read_text() for path in (scene.folder / "state").glob("*/asked")}
    assert "ready\nasked\n" in said
    assert "Operation not permitted" in attempt.output
    assert not attempt.entered
    assert attempt.status > 0


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        # root.sock is for root outside
        ("root inside", "Permission denied"),
        # seen from in there, whoever serves user.sock is not known to be root
        ("nobody inside", "Operation not permitted"),
    ],
)
def test_root_outside_is_not_reached_from_inside(scene: Scene, case: str, reason: str) -> None:
    scene.host.pam.stack("su", "auth required pam_ukey.so\naccount required pam_permit.so\n")
    attempt = scene.attempt("su", NAMESPACES[case], [])
    scene.wait_log(f"^su: pam_ukey.*cannot reach the keyservice: {reason}")
    assert not attempt.entered
