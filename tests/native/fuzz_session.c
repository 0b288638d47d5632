/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * libFuzzer on the whole module: what a keyservice says, by a socket that does all that sockets may.
 *
 *   input: HOW u8, PERSON u8, SOCKET u8, then what the keyservice says, as frames
 *
 * HOW holds the options and the calls, PERSON what the conversation does, and SOCKET, if not 0, seeds
 * how the socket behaves: short reads and writes, signals, errors. The system's calls are those
 * of fuzz_system.c, under the names that fuzzing.py gives them; time is told by them too. Whatever
 * the module does that it must not is an abort().
 */
#include "fuzz_world.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t u16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* Whether the last that was heard is a verdict with this code: read without the module's help. */
static bool heard(const char *code)
{
    const uint8_t *at = world.data, *body = NULL, *end = world.data;
    bool verdict = false, named = false;

    while (world.said - at >= 4) {
        body = at + 4;
        at = end = body + u16(at + 2);
    }
    if (body == NULL || end != world.said || body[-4] != 1 || body[-3] != STEP)
        return false;
    for (; end - body >= 3; body += 3 + u16(body + 1)) {
        size_t length = u16(body + 1);
        verdict |= body[0] == TAG_STEP && length == 1 && body[3] == STEP_VERDICT;
        named |= body[0] == TAG_CODE && length == strlen(code) && !memcmp(body + 3, code, length);
    }
    return verdict && named && body == end;
}

/* Every frame that was sent begins the session, the first, or answers in it; the last may be cut. */
static void check_sent(void)
{
    uint8_t kind = world.how & CHANGING ? BEGIN_CHANGE_PIN : BEGIN_AUTHENTICATION;
    for (size_t at = 0; at + FRAME_HEAD <= world.sent; kind = ANSWER) {
        expect(world.bytes[at] == 1 && world.bytes[at + 1] == kind);
        at += FRAME_HEAD + u16(world.bytes + at + 2);
    }
}

static bool is_failure(int code)
{
    static const int known[] = {PAM_AUTH_ERR,    PAM_AUTHINFO_UNAVAIL, PAM_USER_UNKNOWN,
                                PAM_MAXTRIES,    PAM_PERM_DENIED,      PAM_CONV_ERR,
                                PAM_BUF_ERR,     PAM_SERVICE_ERR};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (code == known[i])
            return true;
    return false;
}

static void check(int code)
{
    bool uniform = world.how & (UNIFORM | DECOY), exempts = world.how & NOUSEROK;
    bool changing = world.how & CHANGING;

    expect(world.fd < 0 && world.answer == NULL);
    check_sent();
    if (uniform && exempts)
        expect(code == PAM_SERVICE_ERR && world.deadline.tv_sec == 0);
    else if (changing && !(world.how & PRELIMINARY))
        expect(world.sent == 0 && code == PAM_AUTHTOK_ERR); /* the first pass was not */
    else if (code == PAM_SUCCESS)
        expect(heard("SUCCESS") && world.sent > 0 && !(world.how & DECOY) && !world.user_changed);
    else if (code == PAM_IGNORE)
        expect(heard("IGNORE") && (exempts || changing) && !world.user_changed);
    else
        expect(uniform ? code == PAM_AUTH_ERR : is_failure(code));
}

/* Both passes of a password stack, if the input says so; the second does what the first did. */
static int change(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    if (!(world.how & PRELIMINARY))
        return pam_sm_chauthtok(pamh, flags | PAM_UPDATE_AUTHTOK, argc, argv);
    int code = pam_sm_chauthtok(pamh, flags | PAM_PRELIM_CHECK, argc, argv);
    size_t sent = world.sent;
    if (world.kept != NULL) {
        expect(pam_sm_chauthtok(pamh, flags | PAM_UPDATE_AUTHTOK, argc, argv) == code);
        expect(world.sent == sent);
        world.forget(pamh, world.kept, PAM_SUCCESS);
    }
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"uniform", "decoy", "nouserok", "debug"};
    const char *argv[6] = {"timeout=5", "change_pin"};
    int argc = 2;

    if (size < HEAD)
        return 0;
    memset(&world, 0, sizeof world);
    world.how = data[0], world.person = data[1], world.seed = data[2];
    world.data = world.said = data + HEAD, world.end = data + size;
    world.fd = -1, world.now.tv_sec = 1000;
    for (int i = 0; i < 4; i++)
        if (world.how & 1 << i)
            argv[argc++] = words[i];
    int flags = world.how & SILENTLY ? (int)PAM_SILENT : 0;
    pam_handle_t *pamh = (pam_handle_t *)&world; /* only libpam's own functions look into it */
    check(world.how & CHANGING ? change(pamh, flags, argc, argv)
                               : pam_sm_authenticate(pamh, flags, argc, argv));
    return 0;
}
