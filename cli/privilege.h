/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file privilege.h  The right of Administrators to open any process, services and other users' programs included. */
#ifndef CLI_PRIVILEGE_H
#define CLI_PRIVILEGE_H

#include <windows.h>

/** What was before. */
struct privilege {
    HANDLE token; /* NULL: nothing was changed */
    TOKEN_PRIVILEGES before;
};

/** Takes the right, if it can be had: to be restored before a program is started, which would inherit it. */
void privilege_take(struct privilege *p);
void privilege_restore(struct privilege *p);

#endif
