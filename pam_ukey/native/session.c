/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
#include "pam_ukey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

/* keyservice/contract/names.py: Flag */
enum flag { FLAG_UNIFORM = 0x01, FLAG_DECOY = 0x02, FLAG_NOUSEROK = 0x04, FLAG_SILENT = 0x08 };

struct session {
    pam_handle_t *pamh;
    const struct options *options;
    struct wire wire;
    char user[ITEM_MAX + 1]; /* as it was when the session began */
    uint8_t id[SESSION_ID];
    bool begun, silent;
};

/* What the keyservice may say; whatever is not here is PAM_SERVICE_ERR. */
static const struct {
    const char *name;
    struct ending ending;
} verdicts[] = {
    {"SUCCESS", {VERIFIED, PAM_AUTH_ERR}},
    {"IGNORE", {EXEMPT, PAM_SERVICE_ERR}},
    {"AUTH_ERR", {FAILED, PAM_AUTH_ERR}},
    {"AUTHINFO_UNAVAIL", {FAILED, PAM_AUTHINFO_UNAVAIL}},
    {"USER_UNKNOWN", {FAILED, PAM_USER_UNKNOWN}},
    {"MAXTRIES", {FAILED, PAM_MAXTRIES}},
    {"PERM_DENIED", {FAILED, PAM_PERM_DENIED}},
    {"CONV_ERR", {FAILED, PAM_CONV_ERR}},
    {"BUF_ERR", {FAILED, PAM_BUF_ERR}},
    {"SERVICE_ERR", {FAILED, PAM_SERVICE_ERR}},
};

static struct ending failed(int failure)
{
    return (struct ending){FAILED, failure};
}

static struct ending wire_failed(const struct session *session, const char *what)
{
    int error = errno;
    pam_syslog(session->pamh, LOG_ERR, "cannot %s the keyservice: %m", what);
    return failed(error == EPROTO ? PAM_SERVICE_ERR : PAM_AUTHINFO_UNAVAIL);
}

static struct ending verdict_of(const struct session *session, const char *code)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        if (strcmp(code, verdicts[i].name) == 0)
            return verdicts[i].ending;
    pam_syslog(session->pamh, LOG_ERR, "the keyservice gave a verdict that is not known");
    return failed(PAM_SERVICE_ERR);
}

static void show(const struct session *session, int style, const char *text)
{
    if (!session->silent)
        conversation_show(session->pamh, style, text);
}

/* -- begin */

static const char *item_of(pam_handle_t *pamh, int type)
{
    const void *item = NULL;
    return pam_get_item(pamh, type, &item) == PAM_SUCCESS && item != NULL ? item : "";
}

/* The wish for a language: plain data, which the keyservice matches and never opens. */
static const char *language_of(pam_handle_t *pamh)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-";

    for (size_t i = 0; i < 2 * sizeof names / sizeof names[0]; i++) {
        const char *value = i < 3 ? pam_getenv(pamh, names[i])
                                  : getenv(names[i - 3]); /* NOLINT(concurrency-mt-unsafe) */
        size_t length = value == NULL ? 0 : strnlen(value, NAME_MAX_BYTES + 1);
        if (length > 0 && length <= NAME_MAX_BYTES && strspn(value, plain) == length)
            return value;
    }
    return "";
}

static bool put_text(struct frame *frame, enum frame_tag tag, const char *text)
{
    size_t length = strnlen(text, ITEM_MAX + 1);
    if (length > 0)
        frame_put(frame, tag, text, length);
    return length <= ITEM_MAX;
}

static bool build_begin(const struct session *session, enum frame_kind kind, struct frame *frame)
{
    pam_handle_t *pamh = session->pamh;
    const struct options *options = session->options;
    unsigned flags = (options->uniform ? FLAG_UNIFORM : 0U) | (options->decoy ? FLAG_DECOY : 0U) |
                     (options->nouserok ? FLAG_NOUSEROK : 0U) |
                     (session->silent ? FLAG_SILENT : 0U);

    frame_start(frame, kind);
    frame_put_u16(frame, TAG_FLAGS, flags);
    frame_put_u16(frame, TAG_TIMEOUT, options->timeout);
    return put_text(frame, TAG_USER, session->user) &&
           put_text(frame, TAG_SERVICE, item_of(pamh, PAM_SERVICE)) &&
           put_text(frame, TAG_TTY, item_of(pamh, PAM_TTY)) &&
           put_text(frame, TAG_RHOST, item_of(pamh, PAM_RHOST)) &&
           put_text(frame, TAG_LANG, language_of(pamh));
}

/* -- steps */

static bool send_answer(struct session *session, const char *answer)
{
    struct frame frame;
    frame_start(&frame, ANSWER);
    frame_put(&frame, TAG_SESSION, session->id, SESSION_ID);
    frame_put(&frame, TAG_ANSWER, answer, strlen(answer));
    bool sent = wire_send(&session->wire, &frame);
    int error = errno;
    explicit_bzero(&frame, sizeof frame);
    errno = error;
    return sent;
}

/* Whether `answer` may leave the process. The log says why not. */
static bool sendable(const struct session *session, const char *answer, bool echo)
{
    if (strnlen(answer, ANSWER_MAX + 1) > ANSWER_MAX) {
        pam_syslog(session->pamh, LOG_ERR, "an answer of more than %d bytes", ANSWER_MAX);
        return false;
    }
    if (!echo && conversation_is_password(session->pamh, answer)) {
        pam_syslog(session->pamh, LOG_ERR,
                   "%s answers every prompt with the password; use keyboard-interactive",
                   item_of(session->pamh, PAM_SERVICE));
        return false;
    }
    return true;
}

/*
 * Ask the person and send the answer. False when the session is over, with its ending. A failure
 * to send after the keyservice hung up is none: why it did is still to be read.
 */
static bool prompt(struct session *session, const struct step *step, struct ending *ending)
{
    char *answer = conversation_ask(session->pamh, step->text, step->echo);
    const char *sent = answer;
    bool go_on = false;

    if (answer == NULL)
        pam_syslog(session->pamh, LOG_NOTICE, "the prompt was not answered");
    else if (!sendable(session, answer, step->echo))
        /* An empty answer fails too, but is released when every other failure is. */
        sent = session->options->uniform ? "" : NULL;
    if (sent == NULL)
        *ending = failed(PAM_CONV_ERR);
    else if (!(go_on = send_answer(session, sent) || errno == EPIPE))
        *ending = wire_failed(session, "answer");
    conversation_forget(answer);
    return go_on;
}

/* The first step names the session, the others must be its own. */
static bool own(struct session *session, const struct step *step)
{
    if (!session->begun)
        memcpy(session->id, step->session, SESSION_ID);
    session->begun = true;
    return memcmp(session->id, step->session, SESSION_ID) == 0;
}

static struct ending refused(const struct session *session, const struct step *step)
{
    pam_syslog(session->pamh, LOG_ERR, "the keyservice refused: %s", step->error);
    if (!session->options->uniform)
        show(session, PAM_ERROR_MSG, step->text);
    if (strcmp(step->error, "NotAllowed") == 0)
        return failed(PAM_PERM_DENIED);
    return failed(strcmp(step->error, "Busy") == 0 ? PAM_AUTHINFO_UNAVAIL : PAM_SERVICE_ERR);
}

static struct ending follow(struct session *session)
{
    struct step step;
    struct ending ending;

    for (;;) {
        if (!wire_receive(&session->wire, &step))
            return wire_failed(session, "hear");
        if (step.frame == REFUSED)
            return refused(session, &step);
        if (!own(session, &step)) {
            pam_syslog(session->pamh, LOG_ERR, "a step of another session");
            return failed(PAM_SERVICE_ERR);
        }
        if (session->options->debug)
            pam_syslog(session->pamh, LOG_DEBUG, "step %d %s", (int)step.kind, step.code);
        switch (step.kind) {
        case STEP_INFO:
        case STEP_WAIT:
            show(session, PAM_TEXT_INFO, step.text);
            break;
        case STEP_ERROR:
            show(session, PAM_ERROR_MSG, step.text);
            break;
        case STEP_PROMPT:
            if (!prompt(session, &step, &ending))
                return ending;
            break;
        default:
            ending = verdict_of(session, step.code);
            show(session, ending.how == FAILED ? PAM_ERROR_MSG : PAM_TEXT_INFO, step.text);
            return ending;
        }
    }
}

static struct ending begin_and_follow(struct session *session, enum frame_kind kind)
{
    struct frame frame;

    if (!wire_open(&session->wire, session->options->timeout))
        return wire_failed(session, "reach");
    if (!build_begin(session, kind, &frame)) {
        pam_syslog(session->pamh, LOG_ERR, "the application's items are too long");
        return failed(PAM_SERVICE_ERR);
    }
    if (!wire_send(&session->wire, &frame))
        return wire_failed(session, "ask");
    return follow(session);
}

struct ending session_run(pam_handle_t *pamh, const struct options *options,
                          enum frame_kind kind, int flags)
{
    struct session session = {.pamh = pamh, .options = options, .wire.fd = -1,
                              .silent = (flags & PAM_SILENT) != 0};
    const char *user = NULL;
    int code = pam_get_user(pamh, &user, NULL);

    if (code != PAM_SUCCESS || user == NULL)
        return failed(code == PAM_BUF_ERR ? PAM_BUF_ERR : PAM_CONV_ERR);
    size_t length = strlen(user);
    if (length > ITEM_MAX)
        return failed(PAM_SERVICE_ERR);
    memcpy(session.user, user, length);

    struct ending ending = begin_and_follow(&session, kind);
    wire_close(&session.wire);
    if (ending.how != FAILED && strcmp(item_of(pamh, PAM_USER), session.user) != 0) {
        pam_syslog(pamh, LOG_ERR, "the user changed during the session; nobody is let in");
        return failed(PAM_SERVICE_ERR);
    }
    return ending;
}
