# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The auth stacks of distributions, written down from what they ship; Debian's are this host's.

Lines that are not of the auth stack are left out, except a few that have to be passed over.
"""

from __future__ import annotations

Files = dict[str, str]

#: The lines that every service of Red Hat's family reaches, by ``substack`` or ``include``.
_REDHAT: Files = {
    "login": """\
#%PAM-1.0
auth       substack     system-auth
auth       include      postlogin
account    required     pam_nologin.so
account    include      system-auth
password   include      system-auth
session    required     pam_selinux.so close
""",
    "sshd": """\
#%PAM-1.0
auth       substack     password-auth
auth       include      postlogin
account    required     pam_sepermit.so
account    include      password-auth
""",
    "su": """\
#%PAM-1.0
auth            required        pam_env.so
auth            sufficient      pam_rootok.so
# Uncomment the following line to require a user to be in the "wheel" group.
#auth           required        pam_wheel.so use_uid
auth            substack        system-auth
auth            include         postlogin
account         sufficient      pam_succeed_if.so uid = 0 use_uid quiet
account         include         system-auth
""",
    "sudo": """\
#%PAM-1.0
auth       include      system-auth
account    include      system-auth
""",
    "polkit-1": """\
#%PAM-1.0
auth       include      system-auth
account    include      system-auth
""",
    "gdm-password": """\
auth     [success=done ignore=ignore default=bad] pam_selinux_permit.so
auth        substack      password-auth
auth        optional      pam_gnome_keyring.so
auth        include       postlogin
account     required      pam_nologin.so
""",
    "postlogin": """\
session optional                   pam_umask.so silent
session [success=1 default=ignore] pam_succeed_if.so service !~ gdm* service !~ su* quiet
session optional                   pam_lastlog.so silent noupdate showfailed
""",
    "other": "auth required pam_deny.so\naccount required pam_deny.so\n",
}

_LOCAL = """\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        sufficient                                   pam_unix.so nullok
auth        required                                     pam_deny.so
account     required                                     pam_unix.so
"""
_LOCAL_FAILLOCK = """\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        required                                     pam_faillock.so preauth silent
auth        sufficient                                   pam_unix.so nullok
auth        required                                     pam_faillock.so authfail
auth        required                                     pam_deny.so
account     required                                     pam_faillock.so
"""
_SSSD = """\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        [default=1 ignore=ignore success=ok]         pam_localuser.so
auth        sufficient                                   pam_unix.so nullok
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        sufficient                                   pam_sss.so forward_pass
auth        required                                     pam_deny.so
account     required                                     pam_unix.so
account     sufficient                                   pam_localuser.so
"""
_SSSD_FAILLOCK = _SSSD.replace(
    "auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular\n",
    "auth        required                                     pam_faillock.so preauth silent\n"
    "auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular\n",
    1,
).replace(
    "auth        required                                     pam_deny.so\n",
    "auth        required                                     pam_faillock.so authfail\n"
    "auth        required                                     pam_deny.so\n",
)
_FINGERPRINT = _LOCAL.replace(
    "auth        sufficient                                   pam_unix.so",
    "auth        sufficient                                   pam_fprintd.so\n"
    "auth        sufficient                                   pam_unix.so",
)
_WINBIND = """\
auth        required      pam_env.so
auth        required      pam_faildelay.so delay=2000000
auth        sufficient    pam_unix.so nullok try_first_pass
auth        requisite     pam_succeed_if.so uid >= 1000 quiet_success
auth        sufficient    pam_winbind.so use_first_pass
auth        required      pam_deny.so
"""


def redhat(auth: str) -> Files:
    return {**_REDHAT, "system-auth": auth, "password-auth": auth}


REDHAT = {
    "local": redhat(_LOCAL),
    "local-faillock": redhat(_LOCAL_FAILLOCK),
    "sssd": redhat(_SSSD),
    "sssd-faillock": redhat(_SSSD_FAILLOCK),
    "winbind": redhat(_WINBIND),
}
#: Stacks whose table says that a finger is enough.
FINGERPRINT = redhat(_FINGERPRINT)

ARCH: Files = {
    "system-auth": """\
#%PAM-1.0

auth       required                    pam_faillock.so      preauth
# Optionally use requisite above if you do not want to prompt for the password
# on locked accounts.
-auth      [success=2 default=ignore]  pam_systemd_home.so
auth       [success=1 default=bad]     pam_unix.so          try_first_pass nullok
auth       [default=die]               pam_faillock.so      authfail
auth       optional                    pam_permit.so
auth       required                    pam_env.so
auth       required                    pam_faillock.so      authsucc
-account   [success=1 default=ignore]  pam_systemd_home.so
account    required                    pam_unix.so
""",
    "system-login": """\
#%PAM-1.0
auth       required   pam_shells.so
auth       requisite  pam_nologin.so
auth       include    system-auth
account    required   pam_access.so
account    include    system-auth
""",
    "system-local-login": "auth include system-login\naccount include system-login\n",
    "system-remote-login": "auth include system-login\naccount include system-login\n",
    "login": """\
#%PAM-1.0
auth       requisite    pam_nologin.so
auth       include      system-local-login
account    include      system-local-login
""",
    "sshd": "auth include system-remote-login\naccount include system-remote-login\n",
    "su": """\
#%PAM-1.0
auth            sufficient      pam_rootok.so
# Uncomment the following line to implicitly trust users in the "wheel" group.
#auth           sufficient      pam_wheel.so trust use_uid
auth            required        pam_unix.so
account         required        pam_unix.so
""",
    "sudo": "#%PAM-1.0\nauth include system-auth\naccount include system-auth\n",
    "other": "auth required pam_deny.so\nauth required pam_warn.so\n",
}

#: openSUSE keeps its own below /usr/lib.
_SUSE = "usr/lib/pam.d/"
SUSE: Files = {
    "common-auth": """\
auth    required        pam_env.so
auth    optional        pam_gnome_keyring.so
auth    required        pam_unix.so     try_first_pass
""",
    f"{_SUSE}login": """\
#%PAM-1.0
auth     requisite      pam_nologin.so
auth     include        common-auth
account  include        common-account
""",
    f"{_SUSE}sshd": "#%PAM-1.0\nauth requisite pam_nologin.so\nauth include common-auth\n",
    f"{_SUSE}su": "#%PAM-1.0\nauth sufficient pam_rootok.so\nauth include common-auth\n",
    f"{_SUSE}sudo": "#%PAM-1.0\nauth include common-auth\naccount include common-account\n",
    f"{_SUSE}other": "auth required pam_warn.so\nauth required pam_deny.so\n",
    f"{_SUSE}common-account": "account required pam_unix.so try_first_pass\n",
}

ALPINE: Files = {
    "base-auth": """\
auth       required   pam_env.so
auth       required   pam_nologin.so successok
auth       required   pam_unix.so nullok
""",
    "login": "auth include base-auth\naccount include base-account\n",
    "base-account": "account required pam_nologin.so\naccount required pam_unix.so\n",
}


def debian_auth(*modules: str) -> str:
    """The lines that pam-auth-update makes of `modules`, the primary ones in order."""
    lines = [
        f"auth\t[success={len(modules) - at} default=ignore]\t{module}\n"
        for at, module in enumerate(modules)
    ]
    return "".join((*lines, "auth\trequisite\tpam_deny.so\n", "auth\trequired\tpam_permit.so\n"))


#: Debian's common-auth with packages of others' modules.
DEBIAN = {
    "sssd": debian_auth("pam_unix.so nullok", "pam_sss.so use_first_pass"),
    "ldap": debian_auth("pam_unix.so nullok", "pam_ldap.so minimum_uid=1000 use_first_pass"),
    "krb5": debian_auth("pam_krb5.so minimum_uid=1000", "pam_unix.so nullok try_first_pass"),
    "cap": debian_auth("pam_unix.so nullok") + "auth\toptional\t\t\tpam_cap.so\n",
}
