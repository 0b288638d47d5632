/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A PAM application that runs stacks with their real modules:
 *
 *   stacks MODULES_FOLDER <LOGINS
 *
 * A login is a line "CONFDIR SERVICE USER PASSWORD CALLER". Its answer is a line with the result of
 * pam_start, or else of pam_authenticate. The password is the answer to every hidden prompt. CALLER
 * is the real uid of the program, whose effective one is root's, as su's is.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_appl.h>

static void fail(const char *why)
{
    fprintf(stderr, "stacks: %s\n", why);
    exit(2);
}

/* These stand in place of libaudit's functions for libpam, as on a kernel without audit. */
int audit_open(void);
int audit_open(void)
{
    errno = EPROTONOSUPPORT;
    return -1;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data)
{
    struct pam_response *made = calloc((size_t)count, sizeof *made);
    for (int i = 0; made != NULL && i < count; i++)
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
            made[i].resp = strdup(data);
        else if (messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
            made[i].resp = strdup("");
    *responses = made;
    return made == NULL ? PAM_BUF_ERR : PAM_SUCCESS;
}

/* Nobody waits after a failure. */
static void at_once(int code, unsigned microseconds, void *data)
{
    (void)code, (void)microseconds, (void)data;
}

static int login(const char *confdir, const char *service, const char *user, char *password)
{
    struct pam_conv conversation = {converse, password};
    pam_handle_t *handle = NULL;
    int code = pam_start_confdir(service, user, &conversation, confdir, &handle);
    if (code != PAM_SUCCESS)
        return code;
    pam_set_item(handle, PAM_FAIL_DELAY, (const void *)at_once);
    pam_set_item(handle, PAM_TTY, "/dev/tty1");
    code = pam_authenticate(handle, 0);
    pam_end(handle, code);
    return code;
}

/* Loading them again for each stack takes longer than all else. */
static void keep_loaded(const char *folder)
{
    char path[4096];
    DIR *opened = opendir(folder);
    struct dirent *entry;
    if (opened == NULL)
        fail("the modules' folder cannot be read");
    while ((entry = readdir(opened)) != NULL)
        if (strstr(entry->d_name, ".so") != NULL) {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            dlopen(path, RTLD_NOW);
        }
    closedir(opened);
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t size = 0;

    if (argc != 2)
        fail("MODULES_FOLDER is missing");
    keep_loaded(argv[1]);
    setlogmask(LOG_MASK(LOG_EMERG));
    while (getline(&line, &size, stdin) > 0) {
        const char *confdir = strtok(line, " \n"), *service = strtok(NULL, " \n");
        const char *user = strtok(NULL, " \n");
        char *password = strtok(NULL, " \n");
        const char *caller = strtok(NULL, " \n");
        if (caller == NULL)
            fail("a login is not one");
        if (setresuid((uid_t)atol(caller), 0, 0) != 0)
            fail("the caller's uid cannot be taken on");
        printf("%d\n", login(confdir, service, user, password));
    }
    free(line);
    return 0;
}
