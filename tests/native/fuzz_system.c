/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* The system and libpam as the module sees them when it is fuzzed (fuzz_session.c). */
#include "fuzz_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <security/pam_ext.h>

const char password[] = "a password of some length";

struct world world;

/* The next of the socket's whims, below `many`; 0 always where there are none. */
static unsigned whim(unsigned many)
{
    if (world.seed == 0)
        return 0;
    world.seed = world.seed * 1103515245U + 12345U;
    return (world.seed >> 16) % many;
}

static void pass(long ms)
{
    world.now.tv_nsec += ms * 1000000;
    world.now.tv_sec += world.now.tv_nsec / 1000000000;
    world.now.tv_nsec %= 1000000000;
}

/* -- the system */

int fake_clock_gettime(clockid_t clock, struct timespec *time)
{
    expect(clock == CLOCK_MONOTONIC);
    if (world.deadline.tv_sec == 0) /* where it begins to count */
        world.deadline = (struct timespec){world.now.tv_sec + TIMEOUT, world.now.tv_nsec};
    *time = world.now;
    return 0;
}

uid_t fake_geteuid(void)
{
    return world.person & USER ? 1000 : 0;
}

char *fake_getenv(const char *name)
{
    return name[1] == 'A' ? (char *)"zh_CN.UTF-8" : NULL;
}

int fake_socket(int domain, int type, int protocol)
{
    expect(domain == AF_UNIX && type == (SOCK_STREAM | SOCK_CLOEXEC) && protocol == 0);
    expect(world.fd < 0);
    if (whim(64) == 63) {
        errno = EMFILE;
        return -1;
    }
    return world.fd = world.how & LOW ? LOW_FD : FD;
}

int fake_fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    int least = va_arg(rest, int);
    va_end(rest);
    expect(fd == LOW_FD && fd == world.fd && command == F_DUPFD_CLOEXEC && least == 3);
    if (whim(8) == 7) {
        errno = EMFILE;
        return -1;
    }
    return FD;
}

int fake_close(int fd)
{
    if (fd == LOW_FD && world.fd == LOW_FD) { /* FD is its copy, or there is none */
        world.fd = -1;
        return 0;
    }
    expect(fd == FD);
    world.fd = -1;
    world.connected = false;
    return 0;
}

/* What a call on the socket comes to: 0 it is done, -1 not, with errno. */
static int luck(int fd, int failure)
{
    expect(fd == FD && world.armed);
    world.armed = false;
    pass(1);
    switch (whim(16)) {
    case 1:
        errno = EINTR;
        return -1;
    case 2:
        pass(whim(2000));
        errno = EAGAIN;
        return -1;
    case 3:
        if (whim(4) != 0)
            return 0;
        errno = failure;
        return -1;
    default:
        return 0;
    }
}

int fake_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    const struct timeval *time = value;
    expect(fd == FD && level == SOL_SOCKET && size == sizeof *time);
    expect(option == SO_SNDTIMEO || option == SO_RCVTIMEO);
    long left = (world.deadline.tv_sec - world.now.tv_sec) * 1000000L +
                (world.deadline.tv_nsec - world.now.tv_nsec) / 1000;
    expect(time->tv_sec * 1000000L + time->tv_usec == left && left > 0);
    world.armed = true;
    return 0;
}

int fake_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    const char *path = (const char *)address + sizeof address->sa_family;
    expect(size > strlen(path) + sizeof address->sa_family);
    expect(strcmp(path, world.person & USER ? "/run/ukey/user.sock" : "/run/ukey/root.sock") == 0);
    world.fd = FD;
    world.connected = luck(fd, ECONNREFUSED) == 0;
    return world.connected ? 0 : -1;
}

int fake_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    struct ucred *peer = value;
    expect(fd == FD && world.connected && level == SOL_SOCKET && option == SO_PEERCRED);
    expect(*size == sizeof *peer);
    *peer = (struct ucred){1, world.person & NOT_ROOT ? 1000 : 0, 0};
    return 0;
}

ssize_t fake_send(int fd, const void *bytes, size_t length, int flags)
{
    expect(world.connected && !(world.person & NOT_ROOT) && flags == MSG_NOSIGNAL && length > 0);
    expect(!world.secret || memmem(bytes, length, password, strlen(password)) == NULL);
    bool done = luck(fd, EPIPE) == 0;
    world.hung_up |= !done && errno == EPIPE; /* for good */
    if (!done || world.hung_up) {
        errno = done ? EPIPE : errno;
        return -1;
    }
    size_t part = world.seed == 0 ? length : 1 + whim((unsigned)length);
    expect(world.sent + part <= sizeof world.bytes);
    memcpy(world.bytes + world.sent, bytes, part);
    world.sent += part;
    return (ssize_t)part;
}

ssize_t fake_recv(int fd, void *bytes, size_t length, int flags)
{
    expect(world.connected && world.sent > 0 && flags == 0 && length > 0);
    if (luck(fd, ECONNRESET) != 0)
        return -1;
    size_t left = (size_t)(world.end - world.said);
    size_t part = left < length ? left : length;
    if (world.seed != 0 && part > 0)
        part = 1 + whim((unsigned)part);
    memcpy(bytes, world.said, part);
    world.said += part;
    return (ssize_t)part; /* 0: it has hung up */
}

/* An answer that is let go of is wiped. */
void fake_free(void *memory)
{
    if (memory != NULL && memory == world.answer) {
        for (size_t at = 0; at < world.length; at++)
            expect(world.answer[at] == '\0');
        world.answer = NULL;
    }
    free(memory);
}

/* -- libpam */

int pam_get_user(pam_handle_t *pamh, const char **user, const char *prompt)
{
    (void)pamh, (void)prompt;
    *user = "alice";
    return PAM_SUCCESS;
}

int pam_get_item(const pam_handle_t *pamh, int type, const void **item)
{
    (void)pamh;
    switch (type) {
    case PAM_USER:
        *item = world.user_changed ? "root" : "alice";
        break;
    case PAM_AUTHTOK:
        *item = password;
        break;
    case PAM_SERVICE:
        *item = "login";
        break;
    default:
        *item = NULL;
    }
    return PAM_SUCCESS;
}

int pam_set_data(pam_handle_t *pamh, const char *name, void *data,
                 void (*forget)(pam_handle_t *pamh, void *data, int status))
{
    (void)pamh;
    expect(name[0] != '\0' && world.kept == NULL);
    if (whim(64) == 63)
        return PAM_BUF_ERR;
    world.kept = data;
    world.forget = forget;
    return PAM_SUCCESS;
}

int pam_get_data(const pam_handle_t *pamh, const char *name, const void **data)
{
    (void)pamh;
    expect(name[0] != '\0');
    *data = world.kept;
    return world.kept == NULL ? PAM_NO_MODULE_DATA : PAM_SUCCESS;
}

const char *pam_getenv(pam_handle_t *pamh, const char *name)
{
    (void)pamh;
    return name[1] == 'A' ? "../x" : NULL;
}

void pam_syslog(const pam_handle_t *pamh, int priority, const char *format, ...)
{
    (void)pamh, (void)priority, (void)format;
}

static char *give(size_t length)
{
    expect(world.answer == NULL); /* one at a time */
    world.answer = malloc(length + 1);
    world.length = length;
    memset(world.answer, '1', length);
    world.answer[length] = '\0';
    return world.answer;
}

static int react(char **response)
{
    switch ((enum reaction)(world.person >> 1 & 7)) {
    case SAYS_NOTHING:
        return PAM_SUCCESS;
    case WAITS:
        return PAM_CONV_AGAIN;
    case LEAVES:
        *response = give(20);
        return PAM_CONV_ERR;
    case TOO_LONG:
        *response = give(ANSWER_MAX + 1);
        return PAM_SUCCESS;
    case LONGEST:
        *response = give(ANSWER_MAX);
        return PAM_SUCCESS;
    case GIVES_PASSWORD:
        *response = strcpy(give(strlen(password)), password);
        return PAM_SUCCESS;
    case CHANGES:
        world.user_changed = true;
        /* fall through */
    case ANSWERS:
        break;
    }
    *response = give(6);
    return PAM_SUCCESS;
}

int pam_prompt(pam_handle_t *pamh, int style, char **response, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    const char *text = va_arg(rest, const char *);
    va_end(rest);
    (void)pamh;
    expect(strcmp(format, "%s") == 0 && strlen(text) <= TEXT_MAX);
    pass(world.person & SLOW ? 3000 : 10);
    if (style == PAM_TEXT_INFO || style == PAM_ERROR_MSG) {
        expect(response == NULL && text[0] != '\0' && !(world.how & SILENTLY));
        return PAM_SUCCESS;
    }
    expect(response != NULL && (style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON));
    *response = NULL;
    world.secret = style == PAM_PROMPT_ECHO_OFF;
    return react(response);
}
