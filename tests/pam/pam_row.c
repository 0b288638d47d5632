/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM module for truth tables, like pam_debug, that also says which line it stands for:
 *
 *   pam_row.so ROLE AUTH CRED
 *
 * shows ROLE and returns the number AUTH from authentication, CRED from pam_setcred, and AUTH from
 * all others. The role "hold" also leaves "new secret" as PAM_AUTHTOK, "old secret" as
 * PAM_OLDAUTHTOK.
 */
#include <stdlib.h>
#include <string.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

static int outcome(pam_handle_t *pamh, int argc, const char **argv)
{
    if (argc != 3)
        return PAM_SERVICE_ERR;
    if (strcmp(argv[0], "hold") == 0) {
        pam_set_item(pamh, PAM_AUTHTOK, "new secret");
        pam_set_item(pamh, PAM_OLDAUTHTOK, "old secret");
    }
    pam_info(pamh, "%s", argv[0]);
    return atoi(argv[1]);
}

#define CALL(name)                                                                               \
    int name(pam_handle_t *pamh, int flags, int argc, const char **argv)                         \
    {                                                                                            \
        (void)flags;                                                                             \
        return outcome(pamh, argc, argv);                                                        \
    }

CALL(pam_sm_authenticate)
CALL(pam_sm_acct_mgmt)
CALL(pam_sm_open_session)
CALL(pam_sm_close_session)
CALL(pam_sm_chauthtok)

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags;
    return argc == 3 ? atoi(argv[2]) : PAM_SERVICE_ERR;
}
