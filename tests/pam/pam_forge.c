/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM module that writes what is sshd's to write, on behalf of whom it asks for nothing:
 *
 *   pam_forge.so FILE
 *
 * puts FILE's content into libpam's environment, as SSH_AUTH_INFO_0, and has no other say.
 */
#include <stdio.h>
#include <string.h>

#include <security/pam_appl.h>
#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    static const char name[] = "SSH_AUTH_INFO_0=";
    char text[8192] = "SSH_AUTH_INFO_0=";
    FILE *file = argc == 1 ? fopen(argv[0], "re") : NULL;

    (void)flags;
    if (file != NULL) {
        size_t length = fread(text + strlen(name), 1, sizeof text - sizeof name, file);
        text[strlen(name) + length] = '\0';
        fclose(file);
        pam_putenv(pamh, text);
    }
    return PAM_IGNORE;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_IGNORE;
}
