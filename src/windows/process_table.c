/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one call tells pid, parent and creation time of all processes as they are at one moment, without
 * opening any. Sorted by creation time, a parent stands before its children, so that one pass finds all descendants.
 */
#include "windows/process_table.h"

#include "windows/process.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <winternl.h>

enum { FIRST_BYTES = 256 * 1024, BYTES_MAX = 64 * 1024 * 1024 };

/*
 * A process that is only about to begin can have no creation time yet, but anything (Wine: a day in the far future). It
 * is left to the next look. 100 ns units.
 */
static const uint64_t day = 24ull * 3600 * 10000000;

static const NTSTATUS too_small = (NTSTATUS)0xC0000004; /* STATUS_INFO_LENGTH_MISMATCH */

static int by_creation(const void *left, const void *right)
{
    const struct process_facts *a = left, *b = right;
    return a->self.created < b->self.created ? -1 : a->self.created > b->self.created;
}

static int by_pid(const void *left, const void *right)
{
    const struct process_facts *a = left, *b = right;
    return a->self.pid < b->self.pid ? -1 : a->self.pid > b->self.pid;
}

static const struct process_facts *with_pid(const struct process_table *by_pids, uint32_t pid)
{
    const struct process_facts key = {.self.pid = pid};
    return bsearch(&key, by_pids->all, by_pids->count, sizeof key, by_pid);
}

/* Windows' list; NULL: it cannot be had. */
static uint8_t *ask(void)
{
    for (ULONG size = FIRST_BYTES, needed; size <= BYTES_MAX; size *= 2) {
        uint8_t *list = malloc(size);
        NTSTATUS status = list ? NtQuerySystemInformation(SystemProcessInformation, list, size, &needed) : too_small;
        if (list && status >= 0) {
            return list;
        }
        free(list);
        if (!list || status != too_small) {
            break;
        }
    }
    return NULL;
}

static uint32_t pid_of(HANDLE number)
{
    return (uint32_t)(uintptr_t)number;
}

/* What follows an entry; NULL: it is the last. */
static const SYSTEM_PROCESS_INFORMATION *next_of(const SYSTEM_PROCESS_INFORMATION *entry)
{
    return entry->NextEntryOffset ? (const void *)((const uint8_t *)entry + entry->NextEntryOffset) : NULL;
}

bool process_table_read(struct process_table *t)
{
    uint8_t *list = ask();
    const SYSTEM_PROCESS_INFORMATION *entry = (const void *)list;
    struct process_table fresh = {0};
    uint32_t room = 0;
    for (; entry; entry = next_of(entry)) {
        room++;
    }
    fresh.all = list ? calloc(room, sizeof *fresh.all) : NULL;
    if (!fresh.all) {
        free(list);
        return false;
    }
    const uint64_t latest = process_clock() + day;
    for (entry = (const void *)list; entry; entry = next_of(entry)) {
        if ((uint64_t)entry->CreateTime.QuadPart > latest) {
            fresh.unborn = true;
            continue;
        }
        struct process_facts *p = &fresh.all[fresh.count++];
        p->self = (struct process_id){pid_of(entry->UniqueProcessId), (uint64_t)entry->CreateTime.QuadPart};
        p->parent.pid = pid_of(entry->InheritedFromUniqueProcessId);
    }
    free(list);
    qsort(fresh.all, fresh.count, sizeof *fresh.all, by_pid);
    for (uint32_t i = 0; i < fresh.count; i++) {
        struct process_facts *p = &fresh.all[i];
        const struct process_facts *parent = with_pid(&fresh, p->parent.pid);
        p->parent.created = parent && parent->self.created <= p->self.created ? parent->self.created : 0;
    }
    qsort(fresh.all, fresh.count, sizeof *fresh.all, by_creation);
    process_table_free(t);
    *t = fresh;
    return true;
}

void process_table_free(struct process_table *t)
{
    free(t->all);
    *t = (struct process_table){0};
}

/* Both are sorted by creation; those of one moment are compared with each other. */
void process_table_subtract(struct process_table *now, const struct process_table *before)
{
    uint32_t kept = 0, from = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct process_id id = now->all[i].self;
        while (from < before->count && before->all[from].self.created < id.created) {
            from++;
        }
        bool known = false;
        for (uint32_t k = from; k < before->count && before->all[k].self.created == id.created && !known; k++) {
            known = before->all[k].self.pid == id.pid;
        }
        if (!known) {
            now->all[kept++] = now->all[i];
        }
    }
    now->count = kept;
}

bool process_table_copy(const struct process_table *from, struct process_table *to)
{
    to->all = malloc((from->count + 1u) * sizeof *to->all);
    to->count = to->all ? from->count : 0;
    if (to->count) {
        memcpy(to->all, from->all, to->count * sizeof *to->all);
    }
    return to->all != NULL;
}

bool process_table_append(struct process_table *t, struct process_table *later)
{
    struct process_facts *all = realloc(t->all, (t->count + later->count + 1u) * sizeof *all);
    if (all) {
        t->all = all;
        if (later->count) {
            memcpy(all + t->count, later->all, later->count * sizeof *all);
        }
        t->count += later->count;
    }
    process_table_free(later);
    return all != NULL;
}
