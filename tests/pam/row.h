/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* A row of a truth table, which rows.c hands to pam_row.so as its conversation's data. */
#ifndef ROW_H
#define ROW_H

enum { ROLES_MAX = 64 };

struct row {
    int count;
    struct outcome {
        const char *role;
        int auth, cred;
    } outcomes[ROLES_MAX];
};

#endif
