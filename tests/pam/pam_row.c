/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM module for truth tables, like pam_debug, that also says which line it stands for:
 *
 *   pam_row.so ROLE AUTH CRED
 *
 * shows ROLE and returns the number AUTH from authentication, CRED from pam_setcred.
 */
#include <stdlib.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    if (argc != 3)
        return PAM_SERVICE_ERR;
    pam_info(pamh, "%s", argv[0]);
    return atoi(argv[1]);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags;
    return argc == 3 ? atoi(argv[2]) : PAM_SERVICE_ERR;
}
