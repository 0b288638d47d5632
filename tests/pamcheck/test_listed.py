# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""It is one question who stands in /etc/passwd, and another whose password a module knows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyservice.contract.pam import PamCode
from tests.pamcheck.hosts import STRICT, Host
from tests.support.process import must

[FOLDER] = Path("/usr/lib").glob("*-linux-*/security")
SWITCH = Path("/etc/nsswitch.conf")
USER, PASSWORD = "far", "528491"

UKEY = "auth [success=ok default=die] pam_ukey.so\n"
UNIX = "auth required pam_unix.so\n"
END = "auth required pam_permit.so\n"
OTHERS_GO_WITHOUT = UNIX + "auth [success=ignore default=1] pam_localuser.so\n" + UKEY + END
LOCALS_GO_WITHOUT = (
    "auth [success=1 default=ignore] pam_localuser.so\n"
    + UKEY
    + "auth [success=ok default=die] pam_krb5.so\n"
)
BEHIND_FAILLOCK = (
    "auth [success=1 default=ignore] pam_unix.so\n"
    "auth [success=ok default=die] pam_faillock.so authfail{}\n" + UKEY
)

#: A name service with one person: ldap's, winbind's or systemd's, as far as libc is concerned.
SOURCE = """
#include <nss.h>
#include <pwd.h>
#include <string.h>
static enum nss_status found(struct passwd *to) {
    *to = (struct passwd){.pw_name = "far", .pw_passwd = HASH, .pw_uid = 1888, .pw_gid = 1888,
                          .pw_gecos = "", .pw_dir = "/", .pw_shell = "/bin/sh"};
    return NSS_STATUS_SUCCESS;
}
enum nss_status _nss_far_getpwnam_r(const char *who, struct passwd *to, char *b, size_t n, int *e) {
    return strcmp(who, "far") ? NSS_STATUS_NOTFOUND : found(to);
}
enum nss_status _nss_far_getpwuid_r(uid_t uid, struct passwd *to, char *b, size_t n, int *e) {
    return uid != 1888 ? NSS_STATUS_NOTFOUND : found(to);
}
"""


def opened(place: Host, text: str) -> bool:
    """Whether pam check names a way in, and calls no line strict."""
    checked = place.check("login", text)
    kinds = {finding.kind for finding in checked.findings}
    return bool(kinds & {"password-alone", "ukey-alone", "anybody"}) and (
        place.letters("login") != STRICT
    )


def test_a_user_of_this_host_need_not_be_in_the_file(place: Host) -> None:
    assert opened(place, OTHERS_GO_WITHOUT)


def test_a_directory_s_user_may_be_in_it(place: Host) -> None:
    assert opened(place, LOCALS_GO_WITHOUT)


def test_a_line_that_asks_both_kinds_is_as_it_was(place: Host) -> None:
    assert place.letters("login", UNIX + "auth optional pam_localuser.so\n" + UKEY) == STRICT


def test_the_count_of_a_failure_says_yes_to_whom_it_does_not_count(place: Host) -> None:
    assert opened(place, BEHIND_FAILLOCK.format(" local_users_only"))
    conf = "etc/security/faillock.conf"
    place.write({conf: "# local_users_only\ndeny = 3\n"})
    assert not opened(place, BEHIND_FAILLOCK.format(""))
    place.write({conf: "deny = 3\n local_users_only\n"})
    assert opened(place, BEHIND_FAILLOCK.format(""))
    assert not opened(place, BEHIND_FAILLOCK.format(" conf=/etc/other"))
    place.write({"etc/other": "local_users_only"})
    assert opened(place, BEHIND_FAILLOCK.format(" conf=/etc/other"))


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Somebody whom the name service knows, with a password, and /etc/passwd does not."""
    source = tmp_path_factory.mktemp("nss") / "far.c"
    hashed = must(["openssl", "passwd", "-6", PASSWORD]).strip()
    source.write_text(f'#define HASH "{hashed}"\n{SOURCE}')
    library, before = FOLDER.parent / "libnss_far.so.2", SWITCH.read_text()
    must(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], seconds=60)
    SWITCH.write_text(before.replace("passwd:         files", "passwd:         files far"))
    try:
        yield USER
    finally:
        SWITCH.write_text(before)
        library.unlink()


def real(folder: Path, text: str, user: str, password: str) -> int:
    """libpam's answer with the real modules, while the ukey's module fails."""
    program = (
        "import sys; from pathlib import Path; from tests.pam.libpam import authenticate\n"
        "folder, user, password = sys.argv[1:]\n"
        "print(int(authenticate(Path(folder), 'login', user, lambda text: password).code))\n"
    )
    (folder / "login").write_text(
        text.replace("pam_ukey.so", "pam_deny.so").replace("pam_unix.so", "pam_unix.so nodelay")
    )
    # a process of its own: libc keeps what it has read of the name service
    command = ["/opt/dev/bin/python", "-c", program, str(folder), user, password]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return int(done.stdout)


def test_the_real_modules_do_so(tmp_path: Path, far: str) -> None:
    assert real(tmp_path, OTHERS_GO_WITHOUT, far, PASSWORD) == PamCode.SUCCESS
    assert real(tmp_path, OTHERS_GO_WITHOUT, far, "000000") != PamCode.SUCCESS
    alone = "auth [success=ok default=die] pam_faillock.so authfail nodelay local_users_only\n"
    assert real(tmp_path, alone, far, "") == PamCode.SUCCESS
    assert real(tmp_path, alone, "nobody", "") != PamCode.SUCCESS
