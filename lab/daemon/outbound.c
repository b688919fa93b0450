/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Windows judges a connection when its program connects, by the program's file; here that is the
 * name that Linux has for the process, which Wine sets to the file's, cut to 15 characters. A packet that a driver has
 * injected is judged as a connection of System; that is permitted by filters alone (arbitration.c), and done by the kernel
 * side, which is told the answer for each family (settings.c). Loopback is never blocked.
 */
#define _GNU_SOURCE
#include "outbound.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ale.h"
#include "arbitration.h"
#include "filters.h"
#include "settings.h"
#include "winpid.h"

enum { PERMITS_MAX = 16, NAME_MAX_LENGTH = 15 };

static bool blocks;
static char permits[PERMITS_MAX][NAME_MAX_LENGTH + 1];
static unsigned permit_count;
static uint64_t prevented;

static bool add_permit(const char *name)
{
    if (permit_count == PERMITS_MAX || !*name || strchr(name, '"')) {
        return false;
    }
    strncpy(permits[permit_count++], name, NAME_MAX_LENGTH);
    return true;
}

static bool perform(const char *command)
{
    if (!strcmp(command, "block")) {
        blocks = true;
    } else if (!strcmp(command, "allow")) {
        blocks = false;
        arbitration_see_tcp(false);
        permit_count = 0;
        memset(permits, 0, sizeof(permits));
    } else if (!strcmp(command, "stall on") || !strcmp(command, "stall off")) {
        filters_stall(!strcmp(command, "stall on"));
    } else if (!strcmp(command, "as tcp")) {
        arbitration_see_tcp(true);
    } else {
        return !strncmp(command, "permit ", 7) && add_permit(command + 7);
    }
    return true;
}

bool outbound_command(const char *command)
{
    bool understood = perform(command);

    if (understood) {
        settings_push();
        ale_handles_changed(false); /* programs are asked for, or no more */
    }
    return understood;
}

static bool program_of(uint32_t windows_pid, char name[NAME_MAX_LENGTH + 1])
{
    char path[40];
    ssize_t length;
    int fd, pid = winpid_to_linux(windows_pid);

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    memset(name, 0, NAME_MAX_LENGTH + 1);
    length = read(fd, name, NAME_MAX_LENGTH);
    close(fd);
    name[strcspn(name, "\n")] = '\0';
    return length > 0;
}

static bool is_permitted(uint32_t windows_pid)
{
    char name[NAME_MAX_LENGTH + 1];

    if (!program_of(windows_pid, name)) {
        return false;
    }
    for (unsigned i = 0; i < permit_count; i++) {
        if (!strcmp(permits[i], name)) {
            return true;
        }
    }
    return false;
}

bool outbound_prevents(uint32_t windows_pid)
{
    bool prevents = blocks && !is_permitted(windows_pid);

    prevented += prevents;
    return prevents;
}

bool outbound_blocks(void)
{
    return blocks;
}

uint32_t outbound_blocks_injected(void)
{
    uint32_t families = 0;

    for (uint32_t family = FILTERS_CONNECT_V4; blocks && family <= FILTERS_CONNECT_V6; family <<= 1) {
        families |= arbitration_blocks_injected(family) ? family : 0;
    }
    return families;
}

void outbound_print(FILE *out)
{
    fprintf(out, "\"outbound\":{\"blocks\":%s,\"permits\":[", blocks ? "true" : "false");
    for (unsigned i = 0; i < permit_count; i++) {
        fprintf(out, "%s\"%s\"", i ? "," : "", permits[i]);
    }
    fprintf(out, "],\"prevented\":%llu,\"stalled\":%s,\"sessions\":%u,\"filters\":%u}", (unsigned long long)prevented,
            filters_are_stalled() ? "true" : "false", filters_sessions(), arbitration_filters());
}
