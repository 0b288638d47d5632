/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* What fuzz_session.c and fuzz_system.c share: the world that the module is in for one input. */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "pam_ukey.h"

#include <stdlib.h>

enum { HEAD = 3, FD = 7, LOW_FD = 1, TIMEOUT = 5, SENT_MAX = 1 << 16 };
/* Of HOW; its low bits are the options, in the order of `words`. */
enum { SILENTLY = 0x10, CHANGING = 0x20, PRELIMINARY = 0x40, LOW = 0x80 };
/* Of PERSON; the bits between are a choice of `reaction`. */
enum { USER = 0x01, SLOW = 0x10, NOT_ROOT = 0x80 };
enum reaction { ANSWERS, SAYS_NOTHING, WAITS, LEAVES, TOO_LONG, LONGEST, GIVES_PASSWORD, CHANGES };

/* Longer than a session's id, so that no keyservice can make us say it by choosing one. */
extern const char password[];

extern struct world {
    const uint8_t *data, *said, *end; /* from the keyservice: all, what is still to come */
    uint8_t how, person;
    unsigned seed;
    int fd; /* -1 when there is none */
    bool armed, connected, hung_up, secret, user_changed;
    struct timespec now, deadline;
    char *answer; /* that the module has to let go of */
    size_t length, sent;
    uint8_t bytes[SENT_MAX]; /* to the keyservice */
    void *kept; /* by pam_set_data */
    void (*forget)(pam_handle_t *pamh, void *data, int status);
} world;

/* Whatever does not hold is a mistake of the module's. */
static inline void expect(bool holds)
{
    if (!holds)
        abort();
}

#endif
