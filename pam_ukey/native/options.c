/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
#include "pam_ukey.h"

#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

enum { TIMEOUT_DEFAULT = 60, TIMEOUT_MAX = 300 };

/* Seconds from `digits`, 0 when it is not a number from 1 to TIMEOUT_MAX. */
static unsigned timeout_of(const char *digits)
{
    unsigned seconds = 0;
    for (; *digits >= '0' && *digits <= '9' && seconds <= TIMEOUT_MAX; digits++)
        seconds = seconds * 10 + (unsigned)(*digits - '0');
    return *digits == '\0' && seconds <= TIMEOUT_MAX ? seconds : 0;
}

static bool understand(struct options *options, const char *word)
{
    static const struct {
        const char *word;
        unsigned flags;
    } words[] = {
        {"nouserok", NOUSEROK},
        {"uniform", UNIFORM},
        {"decoy", DECOY | UNIFORM}, /* one that looked different would be none */
        {"change_pin", CHANGE_PIN},
        {"silent", SILENT},
        {"debug", DEBUG},
        {"take_ssh_key", TAKE_SSH_KEY},
    };
    static const char timeout[] = "timeout=";

    if (strncmp(word, timeout, sizeof timeout - 1) == 0)
        return (options->timeout = timeout_of(word + sizeof timeout - 1)) != 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i].word) == 0) {
            options->flags |= words[i].flags;
            return true;
        }
    }
    return false;
}

bool options_parse(pam_handle_t *pamh, int argc, const char **argv, struct options *options)
{
    *options = (struct options){.timeout = TIMEOUT_DEFAULT};
    for (int i = 0; i < argc; i++) {
        if (!understand(options, argv[i])) {
            pam_syslog(pamh, LOG_ERR, "option not understood: %s; nobody is let in", argv[i]);
            return false;
        }
    }
    if ((options->flags & TAKE_SSH_KEY) && argc != 1) {
        pam_syslog(pamh, LOG_ERR, "take_ssh_key stands alone on its line; nobody is let in");
        return false;
    }
    if ((options->flags & UNIFORM) && (options->flags & NOUSEROK)) {
        pam_syslog(pamh, LOG_ERR, "uniform hides who is enrolled and nouserok shows it; "
                                  "nobody is let in");
        return false;
    }
    return true;
}
