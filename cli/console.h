/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file console.h
 * Ctrl-C, Ctrl-Break, and the end of the console, the session or the machine.
 */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include <stdbool.h>
#include <windows.h>

/** From now on Ctrl-C no longer ends this process. False: no memory for it. */
bool console_watch(void);

/** A semaphore, released by each Ctrl-C or Ctrl-Break, and when the console closes. */
HANDLE console_presses(void);

/** True: the console, the session or the machine is ending; there are about 4 s left. */
bool console_is_closing(void);

/** Lets a closing console end the process: everything is cleaned up. Call it last. */
void console_done(void);

#endif
