# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""Facts that are known of modules by their names: of Linux-PAM 1.5.2's, and of others'.

``tests/pamcheck/test_real_modules.py`` measures those that Debian has.
"""

from __future__ import annotations

#: Modules that check a password against a directory or a home of its own.
DIRECTORIES = (
    "pam_sss",
    "pam_ldap",
    "pam_krb5",
    "pam_winbind",
    "pam_systemd_home",
    "pam_nis",
    "pam_yp",
    "pam_freeipa",
    "pam_kanidm",
    "pam_himmelblau",
    "pam_oslogin_login",
)
#: Options of theirs that make PAM_IGNORE of a code.
IGNORING = {"user_unknown": "ignore_unknown_user", "authinfo_unavail": "ignore_authinfo_unavail"}
#: Modules that pass somebody over only by these options.
NEVER_IGNORING = frozenset(("pam_sss", "pam_ldap", "pam_winbind"))
LOCALS = ("pam_unix", "pam_unix2", "pam_tcb", "pam_pwdfile", "pam_pwdb", "pam_shadow")

#: Modules that always return the same from pam_sm_authenticate.
CONSTANT = {
    "pam_permit": "success",
    "pam_deny": "auth_err",
    "pam_env": "ignore",
    "pam_faildelay": "ignore",
    "pam_group": "ignore",
    "pam_warn": "ignore",
    "pam_keyinit": "ignore",
    "pam_selinux": "auth_err",
}
#: Modules without pam_sm_authenticate, for hosts on which their files cannot be looked into.
WITHOUT_AUTH = frozenset(
    (
        "pam_cracklib",
        "pam_limits",
        "pam_loginuid",
        "pam_mkhomedir",
        "pam_motd",
        "pam_namespace",
        "pam_passwdqc",
        "pam_pwhistory",
        "pam_pwquality",
        "pam_setquota",
        "pam_systemd",
        "pam_time",
        "pam_tty_audit",
        "pam_umask",
        "pam_xauth",
    )
)
#: Others that ask for no password.
SILENT = frozenset(
    (
        "pam_debug",
        "pam_filter",
        "pam_gnome_keyring",
        "pam_kwallet5",
        "pam_listfile",
        "pam_mail",
        "pam_rhosts",
        "pam_timestamp",
        "pam_wheel",
    )
)
#: The code that pam_setcred returns, where it is not success.
SETCRED = {
    "pam_deny": "cred_err",
    "pam_succeed_if": "ignore",
    "pam_usertype": "ignore",
    "pam_exec": "ignore",
    "pam_faildelay": "ignore",
    "pam_warn": "ignore",
    "pam_echo": "ignore",
    "pam_keyinit": "ignore",
    "pam_access": "ignore",
    "pam_sepermit": "ignore",
    "pam_issue": "ignore",
    "pam_nologin": "ignore",
}
#: Modules that refuse some: the code that they refuse with, and the one that they pass with.
REFUSING = {
    "pam_nologin": ("auth_err", "ignore"),
    "pam_securetty": ("auth_err", "success"),
    "pam_shells": ("auth_err", "success"),
    "pam_access": ("perm_denied", "success"),
    "pam_tally2": ("auth_err", "success"),
    "pam_tally": ("auth_err", "success"),
}
#: The codes of which ``modules`` says when the module returns them. All other codes that a control
#: names are tried beside them.
MODELLED = {
    **{name: frozenset(("success", "auth_err")) for name in ("pam_rootok",)},
    "pam_succeed_if": frozenset(("success", "auth_err", "service_err")),
    "pam_usertype": frozenset(("success", "auth_err", "service_err")),
    "pam_localuser": frozenset(("success", "perm_denied", "service_err")),
    "pam_echo": frozenset(("success", "ignore")),
    "pam_issue": frozenset(("ignore", "service_err")),
    "pam_exec": frozenset(("success", "system_err", "service_err", "ignore")),
    "pam_faillock": frozenset(("success", "auth_err")),
    "pam_sepermit": frozenset(("success", "ignore", "auth_err")),
    **{name: frozenset((*codes, "success")) for name, codes in REFUSING.items()},
}
#: Options that change the code that they pass with.
PASSING = {("pam_nologin", "successok"): "success"}
