/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
#include "pam_ukey.h"

#include <stdlib.h>
#include <string.h>

#include <security/pam_ext.h>

void conversation_show(pam_handle_t *pamh, int style, const char *text)
{
    if (text[0] != '\0')
        pam_prompt(pamh, style, NULL, "%s", text);
}

char *conversation_ask(pam_handle_t *pamh, const char *text, bool echo)
{
    char *answer = NULL;
    int style = echo ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF;
    if (pam_prompt(pamh, style, &answer, "%s", text) == PAM_SUCCESS)
        return answer;
    conversation_forget(answer); /* a conversation that failed may have left one */
    return NULL;
}

void conversation_forget(char *answer)
{
    if (answer != NULL)
        explicit_bzero(answer, strlen(answer));
    free(answer);
}

/* Touches every byte of both, wherever they differ; their lengths may show. */
static bool equal(const char *one, const char *other)
{
    size_t length = strlen(one), size = strlen(other) + 1;
    volatile unsigned char difference = length + 1 != size;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)(one[i] ^ other[i % size]);
    return difference == 0;
}

bool conversation_is_password(pam_handle_t *pamh, const char *answer)
{
    static const int held[] = {PAM_AUTHTOK, PAM_OLDAUTHTOK};
    bool found = false;

    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        const void *password = NULL;
        if (pam_get_item(pamh, held[i], &password) == PAM_SUCCESS && password != NULL)
            found |= answer[0] != '\0' && equal(answer, password);
    }
    return found;
}
