/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * The socket's own timeouts carry the deadline: each is set to what remains before the call that
 * it bounds. Unlike O_NONBLOCK and poll, they also bound a connect that waits in a full queue.
 */
#include "pam_ukey.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Only euid 0 can connect to the first, so that no user can keep the service from root. */
static const char root_socket[] = "/run/ukey/root.sock", user_socket[] = "/run/ukey/user.sock";

/* Let the next call on the socket last until the deadline at most. */
static bool arm(const struct wire *wire, int option)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left = (wire->deadline.tv_sec - now.tv_sec) * 1000000L +
                (wire->deadline.tv_nsec - now.tv_nsec) / 1000;
    if (left <= 0) {
        errno = ETIMEDOUT;
        return false;
    }
    struct timeval time = {.tv_sec = left / 1000000, .tv_usec = left % 1000000};
    return setsockopt(wire->fd, SOL_SOCKET, option, &time, sizeof time) == 0;
}

/* Whether the call that failed is to be made again, for the time that remains. */
static bool again(void)
{
    return errno == EINTR || errno == EAGAIN;
}

static bool reach(const struct wire *wire, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    while (arm(wire, SO_SNDTIMEO)) {
        if (connect(wire->fd, (const struct sockaddr *)&address, sizeof address) == 0)
            return true;
        if (!again())
            return false;
    }
    return false;
}

/* Never 0 to 2: the application may have closed these, and still reads and writes them. */
static int make_socket(void)
{
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0 || made > STDERR_FILENO)
        return made;
    int moved = fcntl(made, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(made);
    return moved;
}

bool wire_open(struct wire *wire, unsigned seconds)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    clock_gettime(CLOCK_MONOTONIC, &wire->deadline);
    wire->deadline.tv_sec += seconds;
    wire->fd = make_socket();
    if (wire->fd < 0 || !reach(wire, geteuid() == 0 ? root_socket : user_socket) ||
        getsockopt(wire->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    if (peer.uid != 0) {
        errno = EPERM;
        return false;
    }
    return true;
}

bool wire_send(struct wire *wire, struct frame *frame)
{
    size_t sent = 0;

    if (!frame_finish(frame)) {
        errno = EMSGSIZE;
        return false;
    }
    while (sent < frame->length && arm(wire, SO_SNDTIMEO)) {
        ssize_t count = send(wire->fd, frame->bytes + sent, frame->length - sent, MSG_NOSIGNAL);
        if (count > 0)
            sent += (size_t)count;
        else if (!again())
            return false;
    }
    return sent == frame->length;
}

static bool receive_exactly(const struct wire *wire, uint8_t *bytes, size_t length)
{
    while (length > 0 && arm(wire, SO_RCVTIMEO)) {
        ssize_t count = recv(wire->fd, bytes, length, 0);
        if (count > 0) {
            bytes += count;
            length -= (size_t)count;
        } else if (count == 0) {
            errno = ECONNRESET;
            return false;
        } else if (!again()) {
            return false;
        }
    }
    return length == 0;
}

bool wire_receive(struct wire *wire, struct frame *frame, struct step *step)
{
    if (!receive_exactly(wire, frame->bytes, FRAME_HEAD))
        return false;
    int length = frame_body_length(frame->bytes);
    if (length >= 0) {
        if (!receive_exactly(wire, frame->bytes + FRAME_HEAD, (size_t)length))
            return false;
        frame->length = FRAME_HEAD + (size_t)length;
        if (frame_read_step(frame, step))
            return true;
    }
    errno = EPROTO;
    return false;
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
}
