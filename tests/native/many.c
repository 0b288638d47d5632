/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM application that authenticates many times in one process, as a display manager's does:
 *
 *   many CONFDIR MODULE THREADS COUNTER <LINES
 *
 * Each line is one transaction from pam_start to pam_end, "CODE CALL REACTION SERVICE USER": the
 * CALL (authenticate or chauthtok) has to return CODE. A REACTION is what the conversation does
 * (see converse) or what the application does before (see prepare). Each of THREADS takes every
 * THREADS-th line. COUNTER is count_fds, run at the reaction "spawn".
 *
 * Output, a line each: "wrong N WANTED GOT" for the Nth line; and at the end "mapped", how often the
 * file MODULE was still mapped after pam_end of the only thread; "left", descriptors open at the end
 * and not at the start; "most", the most that any transaction left; "spawned N" programs and
 * "inherited", the most descriptors that one had; "heap AT BYTES", live memory after AT lines.
 */
#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_appl.h>

enum { LINES_MAX = 20000, HEAPS = 10, STANDARD = 3, ANSWER_MAX = 256 };

struct line {
    int code;
    char call[16], reaction[32], service[32], user[64];
};

struct transaction {
    const struct line *line;
    pam_handle_t *handle;
};

static const char *confdir, *module, *counter;
static struct line lines[LINES_MAX];
static int count, threads, mapped, most, spawned, inherited;
static size_t heaps[HEAPS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* In a build with AddressSanitizer, whose own the heap is. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL
               ? __sanitizer_get_current_allocated_bytes()
               : mallinfo2().uordblks;
}

static int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int found = -3; /* ., .. and the directory itself */
    while (readdir(directory) != NULL)
        found++;
    closedir(directory);
    return found;
}

static int is_module(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    return strcmp(info->dlpi_name, module) == 0;
}

/* How many descriptors a program gets that is started now, beside the standard ones. */
static void spawn(void)
{
    char *const argv[] = {(char *)counter, NULL};
    pid_t child;
    int status = -1;
    if (posix_spawn(&child, counter, NULL, NULL, argv, environ) == 0)
        waitpid(child, &status, 0);
    int got = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    pthread_mutex_lock(&lock);
    spawned++;
    inherited = got < 0 || inherited < 0 ? -1 : got > inherited ? got : inherited;
    pthread_mutex_unlock(&lock);
}

/* In place of the standard descriptors there is nothing: it must not be the module's socket. */
static void expect_closed(void)
{
    for (int each = 0; each < STANDARD; each++)
        if (fcntl(each, F_GETFD) >= 0)
            abort();
}

static char *text_of(const char *reaction)
{
    size_t length = strcmp(reaction, "longest") == 0 ? ANSWER_MAX : 20 * ANSWER_MAX;
    if (strcmp(reaction, "password") == 0)
        return strdup("new secret"); /* pam_row.c */
    if (strcmp(reaction, "longest") != 0 && strcmp(reaction, "huge") != 0)
        return strdup(reaction[0] == '=' ? reaction + 1 : "314159");
    char *text = malloc(length + 1);
    memset(text, '1', length);
    text[length] = '\0';
    return text;
}

static int converse(int number, const struct pam_message **messages, struct pam_response **out,
                    void *data)
{
    const struct transaction *own = data;
    const char *reaction = own->line->reaction;
    int style = messages[0]->msg_style;

    *out = NULL;
    if (number != 1)
        return PAM_CONV_ERR;
    if (strcmp(reaction, "closed") == 0)
        expect_closed();
    if (style != PAM_PROMPT_ECHO_OFF && style != PAM_PROMPT_ECHO_ON) {
        *out = calloc(1, sizeof **out);
        return PAM_SUCCESS;
    }
    if (strcmp(reaction, "none") == 0)
        return PAM_SUCCESS;
    if (strcmp(reaction, "again") == 0)
        return PAM_CONV_AGAIN;
    if (strcmp(reaction, "error") == 0)
        return PAM_CONV_ERR;
    if (strcmp(reaction, "user") == 0)
        pam_set_item(own->handle, PAM_USER, "root");
    if (strcmp(reaction, "spawn") == 0)
        spawn();
    *out = calloc(1, sizeof **out);
    if (strcmp(reaction, "null") != 0)
        (*out)->resp = text_of(reaction);
    return strcmp(reaction, "left") == 0 ? PAM_CONV_ERR : PAM_SUCCESS;
}

static void prepare(const struct transaction *own)
{
    pam_set_item(own->handle, PAM_TTY, "tty1");
    if (strcmp(own->line->reaction, "noconv") == 0)
        pam_set_item(own->handle, PAM_CONV, &(struct pam_conv){NULL, NULL});
    if (strcmp(own->line->reaction, "items") == 0) {
        char text[10 * ANSWER_MAX];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        pam_set_item(own->handle, PAM_TTY, text);
    }
}

static int call(const struct transaction *own)
{
    int flags = strcmp(own->line->reaction, "silent") == 0 ? (int)PAM_SILENT : 0;
    if (strcmp(own->line->call, "chauthtok") == 0)
        return pam_chauthtok(own->handle, flags);
    int code = pam_authenticate(own->handle, flags);
    if (code == PAM_SUCCESS && pam_setcred(own->handle, PAM_ESTABLISH_CRED) != PAM_SUCCESS)
        return -1;
    return code;
}

/* With the standard descriptors closed for the time of the call. */
static int call_closed(const struct transaction *own)
{
    int kept[STANDARD];
    for (int each = 0; each < STANDARD; each++) {
        kept[each] = fcntl(each, F_DUPFD_CLOEXEC, STANDARD);
        close(each);
    }
    int code = call(own);
    for (int each = 0; each < STANDARD; each++) {
        dup2(kept[each], each);
        close(kept[each]);
    }
    return code;
}

static int transact(const struct line *line)
{
    struct transaction own = {.line = line};
    const struct pam_conv conversation = {converse, &own};
    int code = pam_start_confdir(line->service, line->user, &conversation, confdir, &own.handle);

    if (code != PAM_SUCCESS)
        return -1;
    prepare(&own);
    code = strcmp(line->reaction, "closed") == 0 ? call_closed(&own) : call(&own);
    return pam_end(own.handle, code) == PAM_SUCCESS ? code : -1;
}

static void *go_through(void *first)
{
    int part = count / HEAPS > 0 ? count / HEAPS : 1;
    for (int i = *(int *)first; i < count; i += threads) {
        int before = threads == 1 ? descriptors() : 0;
        int code = transact(&lines[i]);
        if (code != lines[i].code)
            printf("wrong %d %d %d\n", i, lines[i].code, code);
        if (threads != 1)
            continue;
        int left = descriptors() - before;
        most = left > most ? left : most;
        mapped += dl_iterate_phdr(is_module, NULL);
        if ((i + 1) % part == 0 && i / part < HEAPS)
            heaps[i / part] = heap();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    confdir = argv[1], module = argv[2], threads = atoi(argv[3]), counter = argv[4];
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    openlog("many", LOG_NDELAY, LOG_AUTHPRIV); /* libc's own descriptor, which it keeps */
    while (count < LINES_MAX) {
        struct line *line = &lines[count];
        if (scanf("%d %15s %31s %31s %63s", &line->code, line->call, line->reaction, line->service,
                  line->user) != 5)
            break;
        count++;
    }
    pthread_t running[64];
    int firsts[64], before = descriptors();
    for (int i = 0; i < threads; i++) {
        firsts[i] = i;
        if (threads == 1)
            go_through(&firsts[i]);
        else if (pthread_create(&running[i], NULL, go_through, &firsts[i]) != 0)
            return 2;
    }
    for (int i = 0; threads != 1 && i < threads; i++)
        pthread_join(running[i], NULL);
    if (threads != 1)
        mapped = dl_iterate_phdr(is_module, NULL);
    printf("done %d\nmapped %d\nleft %d\nmost %d\nspawned %d\ninherited %d\n", count, mapped,
           descriptors() - before, most, spawned, inherited);
    for (int i = 0; i < HEAPS; i++)
        printf("heap %zu\n", heaps[i]);
    closelog();
    return 0;
}
