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
 *
 *   pam_row.so ROLE
 *
 * does so with the numbers that the application's row (row.h) has for ROLE.
 */
#include <stdlib.h>
#include <string.h>

#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>

#include "row.h"

/* What the application's row says of `role`; a role that it does not name fails. */
static struct outcome in_row(pam_handle_t *pamh, const char *role)
{
    const void *item = NULL;
    pam_get_item(pamh, PAM_CONV, &item);
    const struct pam_conv *conversation = item;
    const struct row *row = conversation == NULL ? NULL : conversation->appdata_ptr;

    for (int i = 0; row != NULL && i < row->count; i++)
        if (strcmp(row->outcomes[i].role, role) == 0)
            return row->outcomes[i];
    return (struct outcome){role, PAM_SERVICE_ERR, PAM_SERVICE_ERR};
}

static struct outcome outcome(pam_handle_t *pamh, int argc, const char **argv)
{
    if (argc == 1)
        return in_row(pamh, argv[0]);
    if (argc == 3)
        return (struct outcome){argv[0], atoi(argv[1]), atoi(argv[2])};
    return (struct outcome){"", PAM_SERVICE_ERR, PAM_SERVICE_ERR};
}

static int call(pam_handle_t *pamh, int argc, const char **argv)
{
    struct outcome made = outcome(pamh, argc, argv);
    if (strcmp(made.role, "hold") == 0) {
        pam_set_item(pamh, PAM_AUTHTOK, "new secret");
        pam_set_item(pamh, PAM_OLDAUTHTOK, "old secret");
    }
    pam_info(pamh, "%s", made.role);
    return made.auth;
}

#define CALL(name)                                                                               \
    int name(pam_handle_t *pamh, int flags, int argc, const char **argv)                         \
    {                                                                                            \
        (void)flags;                                                                             \
        return call(pamh, argc, argv);                                                           \
    }

CALL(pam_sm_authenticate)
CALL(pam_sm_acct_mgmt)
CALL(pam_sm_open_session)
CALL(pam_sm_close_session)
CALL(pam_sm_chauthtok)

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return outcome(pamh, argc, argv).cred;
}
