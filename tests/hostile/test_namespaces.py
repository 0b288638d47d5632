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
from .scene import DEADLINE, NO_PIN, PROGRAMS, Scene

IMPOSTOR = Path(__file__).with_name("impostor_socket.py")
_UNSHARE = ["unshare", "--user"]
_OWN_RUN = [
    *_UNSHARE,
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    f"""
    cd "$(mktemp -d "$HOME/state/XXXXXX")" && mkdir -p run/ukey && mount --bind run /run || exit
    {sys.executable} -I {IMPOSTOR} /run/ukey/root.sock /run/ukey/user.sock >asked 2>&1 &
    until grep -q ready asked; do sleep 0.02; done
    exec "$@"
    """,
    "sh",
]
_HOME = {"HOME": "{u}"}
NAMESPACES = {
    "nobody inside": Condition(via=_UNSHARE),
    "root inside": Condition(via=[*_UNSHARE, "--map-root-user"]),
    "root inside, with a keyservice of his own": Condition(_HOME, via=_OWN_RUN),
    "a user inside, with a keyservice of root's there": Condition(
        _HOME, via=[*_OWN_RUN, *_UNSHARE, "--map-user=1000"]
    ),
}


@pytest.mark.parametrize("case", NAMESPACES)
def test_nobody_becomes_anybody(scene: Scene, case: str) -> None:
    with ThreadPoolExecutor() as pool:
        attempts = [
            pool.submit(scene.attempt, program, NAMESPACES[case], answers)
            for program in PROGRAMS
            for answers in (scene.right(program), [*scene.right(program)[:1], NO_PIN], ["wrong"])
        ]
    for each in attempts:
        attempt = each.result()
        assert not attempt.entered, attempt
        assert attempt.status > 0, attempt
        assert attempt.seconds < DEADLINE
    assert not scene.watcher.by_root(scene.folder)
    assert scene.attempt("su", Condition(), scene.right("su")).entered


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
