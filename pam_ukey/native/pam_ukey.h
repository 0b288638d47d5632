/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * The parts of pam_ukey.so, in the order of the flow:
 *
 *   pam_ukey.c      what libpam calls, and the only places that let anyone in
 *   options.c       the words of the PAM line
 *   session.c       one session: what the keyservice's steps mean
 *   ssh_key.c       the key that sshd has verified
 *   begin.c         what the keyservice is told of whom it is asked about
 *   conversation.c  the person's side: the application's conversation function
 *   wire.c          the keyservice's side: the socket, its deadline, its peer
 *   frame.c         bytes on the socket (docs/socket-protocol.md)
 *
 * The module knows no product rule: the keyservice drives the conversation. It runs inside sshd,
 * su and screen lockers, so it keeps no state, changes no signal, locale or environment, and wipes
 * every copy of an answer.
 */
#ifndef PAM_UKEY_H
#define PAM_UKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <security/pam_modules.h>

/* Limits, in bytes; the same as in keyservice/contract/names.py. */
enum { FRAME_HEAD = 4, FRAME_MAX = 4096, TEXT_MAX = 1024, ITEM_MAX = 256, ANSWER_MAX = 256 };
enum { SESSION_ID = 16, NAME_MAX_BYTES = 32, AUTH_INFO_MAX = 2900 };

/* -- options.c */

/* Those of WIRE_FLAGS go onto the wire as they are (keyservice/contract/names.py: Flag). */
enum flag { UNIFORM = 0x01, DECOY = 0x02, NOUSEROK = 0x04, SILENT = 0x08, PASSWORD = 0x80,
            CHANGE_PIN = 0x10000, DEBUG = 0x20000, TAKE_SSH_KEY = 0x40000 };
enum { WIRE_FLAGS = 0xffff };

struct options {
    unsigned flags;
    unsigned timeout; /* seconds, 1 to 300 */
};

/* False, and a line in the log, for an unknown word or words that contradict each other. */
bool options_parse(pam_handle_t *pamh, int argc, const char **argv, struct options *options);

/* -- frame.c */

enum frame_kind { BEGIN_AUTHENTICATION = 0x01, BEGIN_CHANGE_PIN = 0x04, ANSWER = 0x10,
                  STEP = 0x81, REFUSED = 0x82 };
enum frame_tag { TAG_USER = 0x01, TAG_SERVICE = 0x02, TAG_TTY = 0x03, TAG_RHOST = 0x04,
                 TAG_LANG = 0x05, TAG_FLAGS = 0x06, TAG_TIMEOUT = 0x07, TAG_AUTH_INFO = 0x0b,
                 TAG_SESSION = 0x10, TAG_ANSWER = 0x11, TAG_STEP = 0x20, TAG_TEXT = 0x21, TAG_ECHO = 0x22,
                 TAG_CODE = 0x24, TAG_ERROR = 0x25 };
enum step_kind { STEP_NONE, STEP_INFO, STEP_ERROR, STEP_PROMPT, STEP_WAIT, STEP_VERDICT };

struct frame {
    uint8_t bytes[FRAME_HEAD + FRAME_MAX];
    size_t length; /* of the whole, head included; over sizeof bytes when a field did not fit */
};

/* What a STEP or REFUSED frame says. Texts end with NUL; a field that is absent is empty. */
struct step {
    enum frame_kind frame;
    enum step_kind kind;
    bool echo;
    uint8_t session[SESSION_ID];
    char text[TEXT_MAX + 1], code[NAME_MAX_BYTES + 1], error[NAME_MAX_BYTES + 1];
};

void frame_start(struct frame *frame, enum frame_kind kind);
void frame_put(struct frame *frame, enum frame_tag tag, const void *value, size_t length);
void frame_put_u16(struct frame *frame, enum frame_tag tag, unsigned value);
/* Write the length into the head. False when the fields did not fit. */
bool frame_finish(struct frame *frame);
/* The length of the body that follows a head, or -1. */
int frame_body_length(const uint8_t head[FRAME_HEAD]);
/* False for anything but a well-formed STEP or REFUSED frame. */
bool frame_read_step(const struct frame *frame, struct step *step);

/* -- wire.c: false with errno; EPROTO when the other side broke the protocol */

struct wire {
    int fd; /* -1 when closed */
    struct timespec deadline; /* CLOCK_MONOTONIC */
};

/* Connect to the keyservice and see that it is root. `seconds` from now until everything is over. */
bool wire_open(struct wire *wire, unsigned seconds);
bool wire_send(struct wire *wire, struct frame *frame);
/* The received bytes are in `frame`, and parsed into `step`. */
bool wire_receive(struct wire *wire, struct frame *frame, struct step *step);
void wire_close(struct wire *wire);

/* -- conversation.c */

/* Show `text`. What the application does with it decides nothing. */
void conversation_show(pam_handle_t *pamh, int style, const char *text);
/* The answer, for conversation_forget; NULL when there is none, for whatever reason. */
char *conversation_ask(pam_handle_t *pamh, const char *text, bool echo);
void conversation_forget(char *answer);
/* Whether `answer` is the password that the stack holds, compared in constant time. */
bool conversation_is_password(pam_handle_t *pamh, const char *answer);

/* -- ssh_key.c */

/* Keep what sshd has put into libpam's environment, before another module can have written it. */
void ssh_key_take(pam_handle_t *pamh);
/* What was taken, if nobody has changed it since; "" where there is nothing that may be used. */
const char *ssh_key_taken(pam_handle_t *pamh);

/* -- begin.c */

/* An item of libpam's that is a text; "" where there is none. */
const char *item_of(pam_handle_t *pamh, int type);
/* False when an item is too long. */
bool begin_build(pam_handle_t *pamh, const struct options *options, enum frame_kind kind,
                 const char *user, struct frame *frame);

/* -- session.c */

enum how { FAILED, VERIFIED, EXEMPT };
struct ending {
    enum how how;
    int failure; /* the PAM code if it does not let in; never PAM_SUCCESS or PAM_IGNORE */
};

/* Hold one session of `kind` from begin to verdict. */
struct ending session_run(pam_handle_t *pamh, const struct options *options, enum frame_kind kind);

#endif
