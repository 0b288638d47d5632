/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM application for tests: it says what it was shown, and does with a prompt what it is told.
 *
 *   driver CONFDIR SERVICE USER WORD...
 *
 * A WORD is tty=T, rhost=H or env=NAME=VALUE (sets it), silent (PAM_SILENT from here on), noconv
 * (the conversation is NULL from here on), disturbed (a handled signal every 20 ms from here on),
 * plant (a copy of the last answer), search (count its copies in this process's memory),
 * again (a new transaction in the same process), or a call: authenticate, setcred, account, open,
 * close, chauthtok, expired (chauthtok of what has expired only).
 *
 * One line of standard input is one reaction to a prompt: "=TEXT" answers, "user=NAME=TEXT"
 * changes PAM_USER and answers, "sleep=MS=TEXT" answers late, "left=TEXT" answers and fails all the
 * same, "null" gives a response without an answer, "none" no response, "again" fails with
 * PAM_CONV_AGAIN, all else with PAM_CONV_ERR.
 *
 * A line of output is "STYLE TEXT" (newlines as \n), "CALL CODE", or at the end "after LEFT SIGINT
 * INHERITED": descriptors left open, whether SIGINT's action was "kept" or "changed", and how many
 * descriptors a program started at a prompt would have got.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_appl.h>

static pam_handle_t *handle;
static int inherited; /* the most descriptors without FD_CLOEXEC at any message */

static void on_signal(int number)
{
    (void)number;
}

static void sleep_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void say(const char *what, const char *text)
{
    printf("%s ", what);
    for (; *text != '\0'; text++)
        if (*text == '\n')
            fputs("\\n", stdout);
        else
            putchar(*text);
    putchar('\n');
    fflush(stdout);
}

static int inheritable(void)
{
    int count = 0;
    for (int each = 3; each < 256; each++) {
        int flags = fcntl(each, F_GETFD);
        count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return count;
}

/*
 * The end of the last answer, hidden so that it is not found where it is looked for. The end, since
 * free() writes over the first bytes of what it takes.
 */
enum { MASK = 0xa5, TAIL = 32 };
static unsigned char hidden[TAIL];
static size_t hidden_length;

static void hide(const char *answer)
{
    size_t length = strlen(answer);
    hidden_length = length < TAIL ? length : TAIL;
    for (size_t i = 0; i < hidden_length; i++)
        hidden[i] = (unsigned char)answer[length - hidden_length + i] ^ MASK;
}

static unsigned char *planted;

static void plant(void)
{
    planted = malloc(hidden_length + 1);
    for (size_t i = 0; i < hidden_length; i++)
        planted[i] = hidden[i] ^ MASK;
}

static int copies_in(const unsigned char *start, const unsigned char *end)
{
    int count = 0;
    for (; hidden_length > 0 && start + hidden_length <= end; start++) {
        size_t same = 0;
        while (same < hidden_length && (start[same] ^ MASK) == hidden[same])
            same++;
        count += same == hidden_length;
    }
    return count;
}

static int copies(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 && strncmp(rights, "rw", 2) == 0)
            count += copies_in((unsigned char *)start, (unsigned char *)end);
    }
    fclose(maps);
    return count;
}

/* Fill `response` as the next line of standard input says. False: there is no response at all. */
static bool react(struct pam_response *response, int *code)
{
    static char line[8192];
    line[0] = '\0';
    bool read = fgets(line, sizeof line, stdin) != NULL;
    line[strcspn(line, "\n")] = '\0';
    char *text = strrchr(line, '=');

    *code = PAM_SUCCESS;
    if (read && strcmp(line, "none") == 0)
        return false;
    if (read && strcmp(line, "null") == 0)
        return true;
    if (!read || text == NULL) {
        *code = strcmp(line, "again") == 0 ? PAM_CONV_AGAIN : PAM_CONV_ERR;
        return false;
    }
    *text++ = '\0';
    if (strncmp(line, "user=", 5) == 0)
        pam_set_item(handle, PAM_USER, line + 5);
    if (strncmp(line, "sleep=", 6) == 0)
        sleep_ms(atol(line + 6));
    if (strcmp(line, "left") == 0)
        *code = PAM_CONV_ERR;
    response->resp = strdup(text);
    hide(text);
    explicit_bzero(line, sizeof line);
    return true;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **out,
                    void *data)
{
    static const char *const styles[] = {"strange", "hidden", "shown", "error", "info"};
    struct pam_response *responses = calloc((size_t)count, sizeof *responses);
    int code = PAM_SUCCESS;
    (void)data;

    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        inherited = inheritable() > inherited ? inheritable() : inherited;
        say(styles[style >= 1 && style <= 4 ? style : 0], messages[i]->msg);
        if ((style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON) &&
            !react(&responses[i], &code)) {
            free(responses);
            return code;
        }
    }
    *out = responses;
    return code;
}

/* A signal every 20 ms, to the thread that holds the conversation. */
static void *disturb(void *thread)
{
    for (;;) {
        sleep_ms(20);
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
    }
    return NULL;
}

static int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = -3; /* ., .. and the directory itself */
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static int call(const char *name, int flags)
{
    if (strcmp(name, "authenticate") == 0)
        return pam_authenticate(handle, flags);
    if (strcmp(name, "setcred") == 0)
        return pam_setcred(handle, PAM_ESTABLISH_CRED | flags);
    if (strcmp(name, "account") == 0)
        return pam_acct_mgmt(handle, flags);
    if (strcmp(name, "open") == 0)
        return pam_open_session(handle, flags);
    if (strcmp(name, "close") == 0)
        return pam_close_session(handle, flags);
    if (strcmp(name, "chauthtok") == 0)
        return pam_chauthtok(handle, flags);
    if (strcmp(name, "expired") == 0)
        return pam_chauthtok(handle, flags | PAM_CHANGE_EXPIRED_AUTHTOK);
    return -1;
}

static bool start(char **argv)
{
    static const struct pam_conv conversation = {converse, NULL};
    return pam_start_confdir(argv[2], argv[3], &conversation, argv[1], &handle) == PAM_SUCCESS;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal}, before, after;
    pthread_t self = pthread_self(), other;
    int flags = 0, code = 0;

    setvbuf(stdin, NULL, _IONBF, 0);
    sigaction(SIGUSR1, &action, NULL);
    if (argc < 4 || !start(argv))
        return 2;
    int open = descriptors(), before_count = inheritable();
    sigaction(SIGINT, NULL, &before);
    for (int i = 4; i < argc; i++) {
        const char *word = argv[i];
        if (strncmp(word, "tty=", 4) == 0)
            pam_set_item(handle, PAM_TTY, word + 4);
        else if (strncmp(word, "rhost=", 6) == 0)
            pam_set_item(handle, PAM_RHOST, word + 6);
        else if (strncmp(word, "env=", 4) == 0)
            pam_putenv(handle, word + 4);
        else if (strcmp(word, "silent") == 0)
            flags = (int)PAM_SILENT;
        else if (strcmp(word, "noconv") == 0)
            pam_set_item(handle, PAM_CONV, &(struct pam_conv){NULL, NULL});
        else if (strcmp(word, "plant") == 0)
            plant();
        else if (strcmp(word, "search") == 0)
            printf("search %d\n", copies());
        else if (strcmp(word, "again") == 0) {
            pam_end(handle, code);
            if (!start(argv))
                return 2;
        } else if (strcmp(word, "disturbed") == 0)
            pthread_create(&other, NULL, disturb, &self);
        else
            printf("%s %d\n", word, code = call(word, flags));
        fflush(stdout);
    }
    sigaction(SIGINT, NULL, &after);
    int left = descriptors() - open;
    bool kept = before.sa_handler == after.sa_handler && before.sa_flags == after.sa_flags;
    printf("after %d %s %d\n", left, kept ? "kept" : "changed", inherited - before_count);
    pam_end(handle, code);
    return 0;
}
