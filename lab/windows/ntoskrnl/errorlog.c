/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: what a driver writes to the system's event log becomes a line of the daemon's log. An
 * entry is an IO_ERROR_LOG_PACKET followed, from StringOffset on, by as many strings, each with its zero.
 * Its size, which only IoAllocateErrorLogEntry is told, stands before it.
 */
#include "ntoskrnl.h"

enum { STRINGS_MAX = 3 }; /* as many as the driver writes */

struct entry {
    size_t size;
    IO_ERROR_LOG_PACKET packet;
};

PVOID NTAPI lab_IoAllocateErrorLogEntry(PVOID object, UCHAR size)
{
    struct entry *entry;

    (void)object;
    if (size < sizeof(entry->packet)) {
        return NULL;
    }
    entry = lab_allocate(offsetof(struct entry, packet) + size);
    if (entry) {
        entry->size = size;
    }
    return entry ? &entry->packet : NULL;
}

/* The string at `at`, or NULL if its zero does not lie within the entry; *at goes to what follows. */
static const WCHAR *next_string(const struct entry *entry, size_t *at)
{
    const char *begin = (const char *)&entry->packet + *at;

    for (; *at + sizeof(WCHAR) <= entry->size; *at += sizeof(WCHAR)) {
        if (*(const WCHAR *)((const char *)&entry->packet + *at) == 0) {
            *at += sizeof(WCHAR);
            return (const WCHAR *)begin;
        }
    }
    return NULL;
}

VOID NTAPI lab_IoWriteErrorLogEntry(PVOID written)
{
    struct entry *entry = CONTAINING_RECORD(written, struct entry, packet);
    const WCHAR *strings[STRINGS_MAX] = {NULL};
    size_t at = entry->packet.StringOffset;

    for (unsigned i = 0; i < entry->packet.NumberOfStrings && i < STRINGS_MAX; i++) {
        strings[i] = next_string(entry, &at);
        if (!strings[i]) {
            break;
        }
    }
    lab_log("event log: %x %S %S %S", (uint32_t)entry->packet.ErrorCode, strings[0], strings[1], strings[2]);
    lab_free(entry);
}
