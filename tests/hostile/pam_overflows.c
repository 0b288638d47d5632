/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* A PAM module that needs more stack than there is. */
#include <security/pam_modules.h>

static int deeper(volatile char *above)
{
    volatile char here[1024];

    here[0] = (char)(*above + 1);
    return deeper(here) + here[0];
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    volatile char top = 0;
    (void)pamh, (void)flags, (void)argc, (void)argv;

    return deeper(&top);
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_AUTH_ERR;
}
