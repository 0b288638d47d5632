/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
#include "pam_ukey.h"

#include <stdlib.h>
#include <string.h>

const char *item_of(pam_handle_t *pamh, int type)
{
    const void *item = NULL;
    return pam_get_item(pamh, type, &item) == PAM_SUCCESS && item != NULL ? item : "";
}

/* The wish for a language: plain data, which the keyservice matches and never opens. */
static const char *language_of(pam_handle_t *pamh)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-";
    enum { COUNT = sizeof names / sizeof names[0] };

    for (size_t i = 0; i < 2 * (size_t)COUNT; i++) { /* the session's, then the process's */
        const char *value = i < COUNT ? pam_getenv(pamh, names[i])
                                      : getenv(names[i - COUNT]); /* NOLINT(concurrency-mt-unsafe) */
        size_t length = value == NULL ? 0 : strnlen(value, NAME_MAX_BYTES + 1);
        if (length > 0 && length <= NAME_MAX_BYTES && strspn(value, plain) == length)
            return value;
    }
    return "";
}

static bool put_text(struct frame *frame, enum frame_tag tag, const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);
    if (length > 0)
        frame_put(frame, tag, text, length);
    return length <= max;
}

bool begin_build(pam_handle_t *pamh, const struct options *options, enum frame_kind kind,
                 const char *user, struct frame *frame)
{
    frame_start(frame, kind);
    frame_put_u16(frame, TAG_FLAGS, options->flags & WIRE_FLAGS);
    frame_put_u16(frame, TAG_TIMEOUT, options->timeout);
    if (kind == BEGIN_AUTHENTICATION)
        put_text(frame, TAG_AUTH_INFO, ssh_key_taken(pamh), AUTH_INFO_MAX);
    return put_text(frame, TAG_USER, user, ITEM_MAX) &&
           put_text(frame, TAG_SERVICE, item_of(pamh, PAM_SERVICE), ITEM_MAX) &&
           put_text(frame, TAG_TTY, item_of(pamh, PAM_TTY), ITEM_MAX) &&
           put_text(frame, TAG_RHOST, item_of(pamh, PAM_RHOST), ITEM_MAX) &&
           put_text(frame, TAG_LANG, language_of(pamh), ITEM_MAX);
}
