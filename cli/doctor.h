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
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <windows.h>

/** Takes what follows "doctor" on the command line (ends with NULL); returns the exit status. */
DWORD doctor_command(wchar_t **arguments);

/** The other end of doctor's own connection: "redirector doctor-connect ADDRESS PORT [udp]", for doctor alone. */
DWORD doctor_connect_command(wchar_t **arguments);

enum finding { FINDING_OK, FINDING_NOTE, FINDING_WRONG };

/** Shows what was found. `detail` and `advice` may be empty. */
void doctor_found(enum finding state, const char *what, const char *detail, const char *advice);

/* doctor_machine.c */
void doctor_check_machine(const struct options *o);

/* doctor_firewall.c */

/** What each profile of the Windows firewall does with outbound connections. */
void doctor_check_firewall(void);

/* doctor_filters.c */

/** Who else redirects connections, by the filtering platform. */
void doctor_check_filters(void);

/* doctor_system.c: for the report alone */
void doctor_tell_system(void);
void doctor_tell_file(const char *name, const wchar_t *path);
void doctor_tell_adapters(void);

/** This machine's adapters, of AF_INET, AF_INET6 or AF_UNSPEC; the caller frees them. NULL: they cannot be had. */
IP_ADAPTER_ADDRESSES *doctor_adapters(ULONG family);

/* doctor_driver.c */
void doctor_check_driver(const struct options *o);

/** Which other programs have WinDivert handles, while a redirector of this process runs. */
void doctor_check_users(void);

/* doctor_try.c */

/** Makes redirected connections, over loopback and by reflection, in both families. */
void doctor_try_all(const struct options *o);

#endif
