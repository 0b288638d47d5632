/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* What libpam calls. The options: pam.d-examples/README.md. */
#include "pam_ukey.h"

#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

/* The line's options, and whether libpam wants silence. */
static bool parse(pam_handle_t *pamh, int flags, int argc, const char **argv,
                  struct options *options)
{
    bool meant = options_parse(pamh, argc, argv, options);
    options->flags |= (flags & PAM_SILENT) ? SILENT : 0U;
    return meant;
}

/* The one place that lets in, and the one that passes over. */
static int conclude(const struct options *options, struct ending ending)
{
    if (ending.how == VERIFIED && !(options->flags & DECOY))
        return PAM_SUCCESS;
    if (ending.how == EXEMPT && (options->flags & (NOUSEROK | PASSWORD)))
        return PAM_IGNORE;
    /* In `uniform`, nobody learns what failed. */
    return (options->flags & UNIFORM) ? PAM_AUTH_ERR : ending.failure;
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;

    if (!parse(pamh, flags, argc, argv, &options))
        return PAM_SERVICE_ERR;
    if (options.flags & TAKE_SSH_KEY) { /* under any other control than `optional` it lets no one in */
        ssh_key_take(pamh);
        return PAM_AUTH_ERR;
    }
    return conclude(&options, session_run(pamh, &options, BEGIN_AUTHENTICATION));
}

/* cron and sshd call it alone, and sshd in another process than the one that authenticated. */
EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}

/*
 * libpam calls all modules of a password stack twice, and the second pass, which writes, goes on
 * whatever a module says there. So the PIN is changed in the first pass, which ends the change at
 * any failure, and the second only reports what the first one did: this is its name.
 */
static const char first_pass[] = "pam_ukey: the first pass";

static void forget(pam_handle_t *pamh, void *code, int status)
{
    (void)pamh, (void)status;
    free(code);
}

static int change_pin(pam_handle_t *pamh, const struct options *options)
{
    int *code = calloc(1, sizeof *code); /* before anything is changed: the second pass needs it */

    if (code == NULL || pam_set_data(pamh, first_pass, code, forget) != PAM_SUCCESS) {
        free(code);
        return conclude(options, (struct ending){FAILED, PAM_BUF_ERR});
    }
    *code = PAM_AUTHTOK_ERR;
    return *code = conclude(options, session_run(pamh, options, BEGIN_CHANGE_PIN));
}

/* The PIN, on the line that asks for it; a PIN does not age. */
EXPORT int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;
    const void *code = NULL;

    if (!parse(pamh, flags, argc, argv, &options))
        return PAM_SERVICE_ERR;
    if (!(options.flags & CHANGE_PIN) || (flags & PAM_CHANGE_EXPIRED_AUTHTOK) != 0)
        return PAM_IGNORE;
    options.flags |= PASSWORD;
    if ((flags & PAM_PRELIM_CHECK) != 0)
        return change_pin(pamh, &options);
    if (pam_get_data(pamh, first_pass, &code) != PAM_SUCCESS || code == NULL)
        return PAM_AUTHTOK_ERR;
    return *(const int *)code;
}

EXPORT int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_IGNORE;
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_IGNORE;
}

EXPORT int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_IGNORE;
}
