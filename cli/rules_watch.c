/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Windows tells that something has changed in the folder; then the file is opened anew by its name,
 * because many editors write another file and give it the name. What is read twice alike, a moment apart, and differs
 * from what was read last, is taken: so nobody sees the half of a file that is being written. On some network drives
 * Windows tells nothing, so the file is also looked at every two seconds.
 */
#include "rules_watch.h"

#include "output.h"
#include "text.h"
#include "worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MS = 2000,   /* without being told */
    SETTLE_MS = 200,  /* between two readings that must be alike */
    ABSENT_MS = 1500, /* a file that is being replaced may be gone that long */
};

struct rules_watch {
    struct rules_state *state;
    redirector *redirector;
    wchar_t *path;
    char *name;
    HANDLE changes; /* NULL: Windows does not tell of any */
    struct worker worker;
    char *last; /* what was read last, right or not */
    size_t last_size;
    ULONGLONG absent_since; /* 0: it is there */
    bool absent_told;
};

static bool is_as_last(const struct rules_watch *w, const char *bytes, size_t size)
{
    return size == w->last_size && memcmp(bytes, w->last, size) == 0;
}

static void not_there(struct rules_watch *w, DWORD error)
{
    ULONGLONG now = GetTickCount64();
    w->absent_since = w->absent_since ? w->absent_since : now;
    if (!w->absent_told && now - w->absent_since >= ABSENT_MS) {
        w->absent_told = true;
        output_message("%s cannot be read (error %lu); the former rules stay in force", w->name, error);
    }
}

/* Reads until it is the same twice. NULL: it is as it was, or not there, or it shall end. */
static char *read_settled(struct rules_watch *w, size_t *size)
{
    char *before = NULL, *bytes;
    size_t before_size = 0;
    while ((bytes = rules_read_bytes(w->path, size)) != NULL) {
        w->absent_since = 0;
        w->absent_told = false;
        bool same = before && *size == before_size && memcmp(bytes, before, *size) == 0;
        rules_free_bytes(before, before_size);
        if (same && !is_as_last(w, bytes, *size)) {
            return bytes;
        }
        if (same || (!before && is_as_last(w, bytes, *size)) || !worker_pause(&w->worker, SETTLE_MS)) {
            rules_free_bytes(bytes, *size);
            return NULL;
        }
        before = bytes;
        before_size = *size;
    }
    not_there(w, GetLastError());
    rules_free_bytes(before, before_size);
    return NULL;
}

static void look(struct rules_watch *w)
{
    size_t size;
    uint32_t count;
    char *bytes = read_settled(w, &size);
    if (!bytes) {
        return;
    }
    rules_free_bytes(w->last, w->last_size);
    w->last = bytes;
    w->last_size = size;
    if (rules_state_set(w->state, w->redirector, w->name, bytes, size, &rules_messages, &count)) {
        output_message("%s has changed: %" PRIu32 " rule%s in force now", w->name, count, count == 1 ? " is" : "s are");
    } else {
        output_message("%s has changed, but is not right: the former rules stay in force", w->name);
    }
}

static void watch(void *context)
{
    struct rules_watch *w = context;
    HANDLE handles[] = {w->worker.ending, w->changes};
    DWORD woken;
    do {
        look(w);
        woken = WaitForMultipleObjects(w->changes ? 2 : 1, handles, FALSE, LOOK_MS);
        if (woken == WAIT_OBJECT_0 + 1) {
            FindNextChangeNotification(w->changes);
        }
    } while (woken != WAIT_OBJECT_0);
}

static HANDLE watch_folder(const wchar_t *path)
{
    size_t length = (size_t)(text_base_name(path) - path);
    wchar_t *folder = malloc((length + 1) * sizeof *folder);
    if (!folder) {
        return NULL;
    }
    wcsncpy(folder, path, length);
    folder[length] = L'\0';
    HANDLE changes = FindFirstChangeNotificationW(
        folder, FALSE, FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE);
    free(folder);
    return changes == INVALID_HANDLE_VALUE ? NULL : changes;
}

struct rules_watch *rules_watch_start(struct rules_state *s, redirector *r, const wchar_t *path)
{
    struct rules_watch *w = calloc(1, sizeof *w);
    struct rules_in_force *f = rules_state_take(s);
    if (w) {
        *w = (struct rules_watch){.state = s,
                                  .redirector = r,
                                  .path = _wcsdup(path),
                                  .name = text_utf8(path),
                                  .changes = watch_folder(path),
                                  .last = malloc(f->loaded.size + 1),
                                  .last_size = f->loaded.size};
    }
    bool ready = w && w->path && w->name && w->last;
    if (ready) {
        memcpy(w->last, f->loaded.bytes, f->loaded.size);
    }
    rules_release(f);
    if (!ready || !worker_start(&w->worker, watch, w)) {
        output_message("the file of rules cannot be watched (error %lu)",
                       ready ? GetLastError() : (DWORD)ERROR_OUTOFMEMORY);
        rules_watch_stop(w);
        return NULL;
    }
    return w;
}

void rules_watch_stop(struct rules_watch *w)
{
    if (!w) {
        return;
    }
    worker_end(&w->worker);
    if (w->changes) {
        FindCloseChangeNotification(w->changes);
    }
    rules_free_bytes(w->last, w->last_size);
    free(w->path);
    free(w->name);
    free(w);
}
