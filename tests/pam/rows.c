/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM application that runs the rows of truth tables, each in a transaction of its own:
 *
 *   rows CONFDIR <ROWS
 *
 * A row is a line "SERVICE ROLE AUTH CRED ROLE AUTH CRED ...": the stack, and what its lines with
 * pam_row.so return. Its answer is a line "AUTHENTICATE SETCRED ROLE ...": what pam_authenticate and
 * pam_setcred returned, the latter -1 where nobody was let in, and what was shown.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <security/pam_appl.h>

#include "row.h"

enum { STACKS_MAX = 256, SHOWN_MAX = 1024 };

static const char *confdir;
static struct row row;
static char shown[SHOWN_MAX];

static void fail(const char *why)
{
    fprintf(stderr, "rows: %s\n", why);
    exit(2);
}

/* libpam's, in place of libaudit's, as on a kernel without audit: the trail would be told of
 * thousands of logins that nobody tried, and most of the time would go there. */
int audit_open(void);
int audit_open(void)
{
    errno = EPROTONOSUPPORT;
    return -1;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data)
{
    (void)data;
    for (int i = 0; i < count; i++) {
        const char *text = messages[i]->msg;
        size_t length = strlen(shown);
        if (messages[i]->msg_style != PAM_TEXT_INFO || strpbrk(text, " \n") != NULL)
            fail("something else than a role was shown");
        if (length + strlen(text) + 2 > sizeof shown)
            fail("too much was shown");
        shown[length] = ' ';
        strcpy(shown + length + 1, text);
    }
    *responses = calloc((size_t)count, sizeof **responses);
    return PAM_SUCCESS;
}

static pam_handle_t *start(const char *service)
{
    static const struct pam_conv conversation = {converse, &row};
    pam_handle_t *handle = NULL;
    if (pam_start_confdir(service, "nobody", &conversation, confdir, &handle) != PAM_SUCCESS)
        fail("a stack cannot be loaded");
    return handle;
}

/* A handle on each stack stays, and with it the stack's modules: loading takes longer than all. */
static void keep_loaded(const char *service)
{
    static char *seen[STACKS_MAX];
    int i = 0;
    while (i < STACKS_MAX && seen[i] != NULL && strcmp(seen[i], service) != 0)
        i++;
    if (i == STACKS_MAX)
        fail("too many stacks");
    if (seen[i] == NULL) {
        seen[i] = strdup(service);
        start(service);
    }
}

/* Take a row apart, in place. Returns its service. */
static const char *parse(char *line)
{
    const char *service = strtok(line, " \n"), *role, *auth, *cred;
    for (row.count = 0; (role = strtok(NULL, " \n")) != NULL; row.count++) {
        auth = strtok(NULL, " \n");
        cred = strtok(NULL, " \n");
        if (cred == NULL || row.count == ROLES_MAX)
            fail("a row is not one");
        row.outcomes[row.count] = (struct outcome){role, atoi(auth), atoi(cred)};
    }
    return service;
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t size = 0;

    if (argc != 2)
        fail("CONFDIR is missing");
    confdir = argv[1];
    setlogmask(LOG_MASK(LOG_EMERG)); /* of thousands of logins that nobody tried */
    while (getline(&line, &size, stdin) > 0) {
        const char *service = parse(line);
        if (service == NULL)
            fail("a row names no stack");
        keep_loaded(service);
        shown[0] = '\0';
        pam_handle_t *handle = start(service);
        int code = pam_authenticate(handle, 0);
        int cred = code == PAM_SUCCESS ? pam_setcred(handle, PAM_ESTABLISH_CRED) : -1;
        pam_end(handle, code);
        printf("%d %d%s\n", code, cred, shown);
    }
    free(line);
    return 0;
}
