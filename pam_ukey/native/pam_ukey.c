/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* What libpam calls. The options: pam.d-examples/README.md. */
#include "pam_ukey.h"

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
    if (ending.how == EXEMPT && (options->flags & NOUSEROK))
        return PAM_IGNORE;
    /* In `uniform`, nobody learns what failed. */
    return (options->flags & UNIFORM) ? PAM_AUTH_ERR : ending.failure;
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;

    if (!parse(pamh, flags, argc, argv, &options))
        return PAM_SERVICE_ERR;
    return conclude(&options, session_run(pamh, &options, BEGIN_AUTHENTICATION));
}

/* cron and sshd call it alone, and sshd in another process than the one that authenticated. */
EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}

/* The PIN, on the line that asks for it; a PIN does not age. */
EXPORT int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;

    if (!parse(pamh, flags, argc, argv, &options))
        return PAM_SERVICE_ERR;
    if (!(options.flags & CHANGE_PIN) || (flags & PAM_CHANGE_EXPIRED_AUTHTOK) != 0)
        return PAM_IGNORE;
    if ((flags & PAM_PRELIM_CHECK) != 0) {
        struct wire wire;
        bool reached = wire_open(&wire, options.timeout);
        wire_close(&wire);
        return reached ? PAM_SUCCESS : PAM_TRY_AGAIN;
    }
    return conclude(&options, session_run(pamh, &options, BEGIN_CHANGE_PIN));
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
