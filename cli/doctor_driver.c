/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * doctor: the driver's entry among the services. A crash, or a file that was moved, leaves an entry that points nowhere,
 * or a driver that nobody uses and whose file cannot be deleted: that is what --clean removes.
 */
#include "doctor.h"

#include "doctor_report.h"
#include "driver.h"
#include "output.h"
#include "processes.h"

#include <stdio.h>

enum { USERS_MAX = 64 };

static void clean(void)
{
    struct driver_entry e;
    driver_open(&e, SERVICE_STOP | DELETE);
    DWORD error = e.service ? driver_remove(&e) : e.error;
    char detail[64];
    snprintf(detail, sizeof detail, "error %lu", error);
    if (!e.service && error == ERROR_SERVICE_DOES_NOT_EXIST) {
        doctor_found(FINDING_OK, "clean", "there is nothing to remove", "");
    } else if (error) {
        doctor_found(FINDING_WRONG, "clean", detail,
                     "the entry could not be removed: end the programs that use WinDivert, run as Administrator, or "
                     "restart Windows");
    } else {
        doctor_found(FINDING_OK, "clean", "the driver is stopped and its entry removed", "");
    }
    driver_close(&e);
}

void doctor_check_driver(const struct options *o)
{
    struct driver_entry e;
    if (o->clean) {
        clean();
    }
    driver_open(&e, 0);
    if (!e.service) {
        doctor_found(FINDING_OK, "WinDivert service", "no entry; the first use makes one", "");
    } else if (e.file_missing) {
        doctor_found(FINDING_WRONG, "WinDivert service", e.file,
                     "left behind: the entry points to a file that is gone; remove it: redirector doctor --clean");
    } else if (e.running) {
        doctor_found(FINDING_NOTE, "WinDivert service", e.file,
                     "the driver is loaded; if no program below uses it, a crash left it: redirector doctor --clean");
    } else {
        doctor_found(FINDING_OK, "WinDivert service", e.file, "");
    }
    driver_close(&e);
}

/* ---- other users */

static void name_user(void *count, const tap_address *address)
{
    static const char *const layers[] = {"packets", "forwarded packets", "flows", "sockets"};
    struct process_row row = {.pid = address->data.reflect.pid};
    uint32_t layer = address->data.reflect.layer;
    unsigned *users = count;
    char shown[400];
    if ((*users)++ >= USERS_MAX) {
        return;
    }
    processes_look(&row);
    doctor_item("users");
    doctor_text("program", row.path);
    doctor_own_text("layer", "%s", layer < 4 ? layers[layer] : "?");
    doctor_number("priority", address->data.reflect.priority);
    doctor_number("flags", (double)address->data.reflect.flags);
    snprintf(shown, sizeof shown, "%.200s (%u): %s, priority %d", *row.path ? row.path : "a process that has ended",
             row.pid, layer < 4 ? layers[layer] : "?", address->data.reflect.priority);
    doctor_found(FINDING_NOTE, "also uses WinDivert", shown,
                 "it may see or change packets before or after redirector (priority 702 to 899); end it if connections "
                 "go astray");
}

void doctor_check_users(void)
{
    unsigned users = 0;
    if (!driver_users(name_user, &users)) {
        doctor_found(FINDING_NOTE, "other WinDivert users", "cannot be asked", "");
    } else if (!users) {
        doctor_found(FINDING_OK, "other WinDivert users", "none", "");
    }
}
