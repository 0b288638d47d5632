/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * The key that ssh has proven. sshd puts what it has verified into libpam's environment, where any
 * module may write too, and nothing tells the two apart afterwards. So the first line of the stack
 * takes a copy, which no other module can reach by the means that libpam gives them.
 */
#include "pam_ukey.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

static const char variable[] = "SSH_AUTH_INFO_0", name[] = "pam_ukey: what sshd has verified";

static void forget(pam_handle_t *pamh, void *taken, int status)
{
    (void)pamh, (void)status;
    free(taken);
}

/* Programs that anybody starts, such as su, must not be able to say what sshd has verified. */
static bool is_sshd(pam_handle_t *pamh)
{
    return strcmp(item_of(pamh, PAM_SERVICE), "sshd") == 0;
}

void ssh_key_take(pam_handle_t *pamh)
{
    const char *value = is_sshd(pamh) ? pam_getenv(pamh, variable) : NULL;
    char *taken = NULL;

    if (value != NULL && strnlen(value, AUTH_INFO_MAX + 1) > AUTH_INFO_MAX)
        pam_syslog(pamh, LOG_ERR, "%s has more than %d bytes: it is not used", variable,
                   AUTH_INFO_MAX);
    else if (value != NULL && (taken = strdup(value)) == NULL)
        pam_syslog(pamh, LOG_ERR, "no memory for %s: it is not used", variable);
    /* Nothing replaces what an earlier login on this handle has left, too. */
    if (pam_set_data(pamh, name, taken, forget) != PAM_SUCCESS)
        free(taken);
}

const char *ssh_key_taken(pam_handle_t *pamh)
{
    const void *taken = NULL;
    const char *now = is_sshd(pamh) ? pam_getenv(pamh, variable) : NULL;

    if (now == NULL || now[0] == '\0')
        return "";
    if (pam_get_data(pamh, name, &taken) != PAM_SUCCESS || taken == NULL) {
        pam_syslog(pamh, LOG_ERR, "%s is not used: no line with take_ssh_key has taken it", variable);
        return "";
    }
    if (strcmp(taken, now) != 0) {
        pam_syslog(pamh, LOG_ERR, "%s is not used: another module of this stack has changed it",
                   variable);
        return "";
    }
    return taken;
}
