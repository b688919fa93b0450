/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file doctor.h
 * The command "doctor": can this machine redirect?
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "options.h"

#include <stdbool.h>
#include <wchar.h>
#include <winsock2.h>
#include <windows.h>

/** Takes what follows "doctor" on the command line (ends with NULL); returns the exit status. */
DWORD doctor_command(wchar_t **arguments);

/** The other end of doctor's own connection: "redirector doctor-connect ADDRESS PORT", for doctor alone. */
DWORD doctor_connect_command(wchar_t **arguments);

enum finding { FINDING_OK, FINDING_NOTE, FINDING_WRONG };

/** Shows what was found. `detail` and `advice` may be empty. */
void doctor_found(enum finding state, const char *what, const char *detail, const char *advice);

/* doctor_machine.c */
void doctor_check_machine(const struct options *o);

/* doctor_driver.c */
void doctor_check_driver(const struct options *o);

/** Which other programs have WinDivert handles, while a redirector of this process runs. */
void doctor_check_users(void);

/* doctor_try.c */

/** Makes redirected connections, over loopback and by reflection, in both families. */
void doctor_try_all(const struct options *o);

#endif
