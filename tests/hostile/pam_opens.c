/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* A PAM module that does what none may: it opens a file in the folder that the environment names. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    char path[256];
    const char *home = getenv("HOME");
    (void)pamh, (void)flags, (void)argc, (void)argv;

    snprintf(path, sizeof path, "%s/text", home == NULL ? "" : home);
    close(open(path, O_RDONLY | O_CLOEXEC));
    return PAM_AUTH_ERR;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_AUTH_ERR;
}
