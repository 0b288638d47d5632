/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
#include "pam_ukey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_ext.h>

/*
 * On the heap: the caller of a setuid program chooses how much stack there is, and only the heap
 * reports that it has no more.
 */
struct session {
    pam_handle_t *pamh;
    const struct options *options;
    struct wire wire;
    char user[ITEM_MAX + 1]; /* as it was when the session began */
    uint8_t id[SESSION_ID];
    bool begun;
    struct frame frame; /* the one that is sent or received just now */
    struct step step;   /* the last one received */
};

/* The codes that the keyservice may send; any other is PAM_SERVICE_ERR. */
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
    if (!(session->options->flags & SILENT))
        conversation_show(session->pamh, style, text);
}

static bool send_answer(struct session *session, const char *answer)
{
    struct frame *frame = &session->frame;
    frame_start(frame, ANSWER);
    frame_put(frame, TAG_SESSION, session->id, SESSION_ID);
    frame_put(frame, TAG_ANSWER, answer, strlen(answer));
    bool sent = wire_send(&session->wire, frame);
    int error = errno;
    explicit_bzero(frame, sizeof *frame);
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
 * Ask the person and send the answer. False when the session is over, with its ending. It is no
 * failure if the keyservice hung up before the answer was sent: its reason is still to be read.
 */
static bool prompt(struct session *session, struct ending *ending)
{
    const struct step *step = &session->step;
    char *answer = conversation_ask(session->pamh, step->text, step->echo);
    const char *sent = answer;
    bool go_on = false;

    if (answer == NULL)
        pam_syslog(session->pamh, LOG_NOTICE, "the prompt was not answered");
    else if (!sendable(session, answer, step->echo))
        /* An empty answer fails too, but is released when every other failure is. */
        sent = (session->options->flags & UNIFORM) ? "" : NULL;
    if (sent == NULL)
        *ending = failed(PAM_CONV_ERR);
    else if (!(go_on = send_answer(session, sent) || errno == EPIPE))
        *ending = wire_failed(session, "answer");
    conversation_forget(answer);
    return go_on;
}

/* The first step names the session, the others must be its own. */
static bool own(struct session *session)
{
    if (!session->begun)
        memcpy(session->id, session->step.session, SESSION_ID);
    session->begun = true;
    return memcmp(session->id, session->step.session, SESSION_ID) == 0;
}

static struct ending refused(const struct session *session)
{
    const struct step *step = &session->step;

    pam_syslog(session->pamh, LOG_ERR, "the keyservice refused: %s", step->error);
    if (!(session->options->flags & UNIFORM))
        show(session, PAM_ERROR_MSG, step->text);
    if (strcmp(step->error, "NotAllowed") == 0)
        return failed(PAM_PERM_DENIED);
    if (strcmp(step->error, "Busy") == 0 || strcmp(step->error, "DeadlinePassed") == 0)
        return failed(PAM_AUTHINFO_UNAVAIL);
    return failed(PAM_SERVICE_ERR);
}

static struct ending follow(struct session *session)
{
    const struct step *step = &session->step;
    struct ending ending;

    for (;;) {
        if (!wire_receive(&session->wire, &session->frame, &session->step))
            return wire_failed(session, "hear");
        if (step->frame == REFUSED)
            return refused(session);
        if (!own(session)) {
            pam_syslog(session->pamh, LOG_ERR, "a step of another session");
            return failed(PAM_SERVICE_ERR);
        }
        if (session->options->flags & DEBUG)
            pam_syslog(session->pamh, LOG_DEBUG, "step %d %s", (int)step->kind, step->code);
        switch (step->kind) {
        case STEP_INFO:
        case STEP_WAIT:
            show(session, PAM_TEXT_INFO, step->text);
            break;
        case STEP_ERROR:
            show(session, PAM_ERROR_MSG, step->text);
            break;
        case STEP_PROMPT:
            if (!prompt(session, &ending))
                return ending;
            break;
        default:
            ending = verdict_of(session, step->code);
            show(session, ending.how == FAILED ? PAM_ERROR_MSG : PAM_TEXT_INFO, step->text);
            return ending;
        }
    }
}

static struct ending begin_and_follow(struct session *session, enum frame_kind kind)
{
    struct frame *frame = &session->frame;

    if (!wire_open(&session->wire, session->options->timeout))
        return wire_failed(session, "reach");
    if (!begin_build(session->pamh, session->options, kind, session->user, frame)) {
        pam_syslog(session->pamh, LOG_ERR, "the application's items are too long");
        return failed(PAM_SERVICE_ERR);
    }
    if (!wire_send(&session->wire, frame))
        return wire_failed(session, "ask");
    return follow(session);
}

static struct ending hold(struct session *session, enum frame_kind kind)
{
    const char *user = NULL;
    int code = pam_get_user(session->pamh, &user, NULL);

    if (code != PAM_SUCCESS || user == NULL)
        return failed(code == PAM_BUF_ERR ? PAM_BUF_ERR : PAM_CONV_ERR);
    size_t length = strlen(user);
    if (length > ITEM_MAX)
        return failed(PAM_SERVICE_ERR);
    memcpy(session->user, user, length + 1);

    struct ending ending = begin_and_follow(session, kind);
    wire_close(&session->wire);
    if (ending.how != FAILED && strcmp(item_of(session->pamh, PAM_USER), session->user) != 0) {
        pam_syslog(session->pamh, LOG_ERR, "the user changed during the session; nobody is let in");
        return failed(PAM_SERVICE_ERR);
    }
    return ending;
}

struct ending session_run(pam_handle_t *pamh, const struct options *options, enum frame_kind kind)
{
    struct session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return failed(PAM_BUF_ERR);
    session->pamh = pamh;
    session->options = options;
    session->wire.fd = -1;
    struct ending ending = hold(session, kind);
    free(session);
    return ending;
}
