/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the log is a bounded ring of lines with many writers, and a thread that empties it.
 *
 *   log_line() ──→ slot (its sequence number gives its state) ──→ writer thread ──→ file, callback
 *
 * The slot of position p is free when its sequence is p, and filled when it is p + 1; emptying it sets p +
 * LOG_RING_LINES, which is free for the next round. So writers claim a slot with one compare-and-swap and never wait:
 * not for each other, the thread, or the disk (S5). When the ring is full, the line is dropped and counted.
 *
 * The thread sleeps on an event. Setting an event is a system call, so writers set it only when the thread has
 * announced that it is about to sleep.
 */
#include "log.h"

#include "log_file.h"
#include "windows/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static_assert((LOG_RING_LINES & (LOG_RING_LINES - 1)) == 0, "positions are taken modulo its size, across overflow");

#define DEFAULT_FILE "windows_redirector.log"

enum { CLOSE_MS = 200, BATCH_BYTES = 16 * 1024, STAMP_MAX = 40 };

struct slot {
    _Atomic uint32_t sequence;
    uint32_t level;
    FILETIME time;
    char text[LOG_LINE_MAX];
};

/* Whether the callback may be called: log_close() forbids it for good, whatever the thread is doing. */
enum callback_state { CALLBACK_IDLE, CALLBACK_RUNNING, CALLBACK_OVER };

struct log {
    struct slot ring[LOG_RING_LINES];
    _Atomic uint32_t tail;     /* next position to fill */
    uint32_t head;             /* next position to empty; the thread's */
    _Atomic uint64_t dropped;  /* lines */
    uint64_t dropped_reported; /* the thread's */
    uint32_t level;
    struct log_file *file; /* NULL: none */
    redirector_log_fn *fn; /* NULL: none */
    void *context;
    _Atomic int callback;
    _Atomic bool sleeping; /* the thread is about to wait for `bell` */
    _Atomic bool closing;
    _Atomic int owners; /* log_close() and the thread; the last to release it frees it */
    HANDLE bell;
    HANDLE thread;
    char batch[BATCH_BYTES]; /* lines on their way to the file */
    size_t batch_bytes;
    uint32_t batch_lines;
};

static const char *const level_names[] = {"", "", "ERROR", "WARN ", "INFO ", "DEBUG"};

/* ---- the thread */

static void release(struct log *log)
{
    if (atomic_fetch_sub(&log->owners, 1) > 1) {
        return;
    }
    log_file_close(log->file);
    if (log->bell) {
        CloseHandle(log->bell);
    }
    free(log);
}

/* "2026-01-31T23:59:59.123Z INFO  " */
static size_t format_stamp(char *out, size_t size, const FILETIME *time, uint32_t level)
{
    SYSTEMTIME t;
    FileTimeToSystemTime(time, &t);
    int length = snprintf(out, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ %s ", t.wYear, t.wMonth, t.wDay, t.wHour,
                          t.wMinute, t.wSecond, t.wMilliseconds, level_names[level]);
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

static void flush(struct log *log)
{
    if (log->batch_bytes && !log_file_write(log->file, log->batch, log->batch_bytes)) {
        atomic_fetch_add(&log->dropped, log->batch_lines);
    }
    log->batch_bytes = 0;
    log->batch_lines = 0;
}

static void call_back(struct log *log, uint32_t level, const char *text)
{
    int state = CALLBACK_IDLE;
    if (!log->fn || !atomic_compare_exchange_strong(&log->callback, &state, CALLBACK_RUNNING)) {
        return;
    }
    log->fn(log->context, level, text);
    state = CALLBACK_RUNNING;
    atomic_compare_exchange_strong(&log->callback, &state, CALLBACK_IDLE);
}

static void write_out(struct log *log, const struct slot *line)
{
    if (log->file) {
        if (log->batch_bytes + STAMP_MAX + LOG_LINE_MAX + 1 > sizeof log->batch) {
            flush(log);
        }
        char *at = log->batch + log->batch_bytes;
        size_t length = format_stamp(at, STAMP_MAX, &line->time, line->level);
        size_t text = strlen(line->text);
        memcpy(at + length, line->text, text);
        at[length + text] = '\n';
        log->batch_bytes += length + text + 1;
        log->batch_lines++;
    }
    call_back(log, line->level, line->text);
}

/* Empties the ring; false when there was nothing in it. */
static bool drain(struct log *log)
{
    uint32_t begin = log->head;
    for (;; log->head++) {
        struct slot *slot = &log->ring[log->head % LOG_RING_LINES];
        if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != log->head + 1) {
            break;
        }
        write_out(log, slot);
        atomic_store_explicit(&slot->sequence, log->head + LOG_RING_LINES, memory_order_release);
    }
    flush(log);
    return log->head != begin;
}

/* Logs how many lines were dropped; later, while the file cannot be written. */
static void report_dropped(struct log *log)
{
    uint64_t dropped = atomic_load(&log->dropped);
    if (dropped == log->dropped_reported) {
        return;
    }
    struct slot note = {.level = REDIRECTOR_LOG_WARN};
    GetSystemTimePreciseAsFileTime(&note.time);
    snprintf(note.text, sizeof note.text, "log lines dropped: %llu",
             (unsigned long long)(dropped - log->dropped_reported));
    if (log->file) {
        char line[STAMP_MAX + LOG_LINE_MAX];
        size_t length = format_stamp(line, STAMP_MAX, &note.time, note.level);
        length += (size_t)snprintf(line + length, sizeof line - length, "%s\n", note.text);
        if (!log_file_write(log->file, line, length)) {
            return;
        }
    }
    log->dropped_reported = dropped;
    call_back(log, note.level, note.text);
}

static DWORD WINAPI writer(void *argument)
{
    struct log *log = argument;
    for (;;) {
        bool closing = atomic_load(&log->closing); /* read first: what was queued before it was set is drained */
        bool drained = drain(log);
        if (drained) {
            report_dropped(log);
        }
        if (closing) {
            break;
        }
        if (drained) {
            continue;
        }
        atomic_store(&log->sleeping, true);
        uint32_t sequence = atomic_load(&log->ring[log->head % LOG_RING_LINES].sequence);
        if (sequence == log->head + 1 || atomic_load(&log->closing)) { /* a line was queued before the flag was set */
            atomic_store(&log->sleeping, false);
        } else {
            WaitForSingleObject(log->bell, INFINITE);
        }
    }
    report_dropped(log);
    release(log);
    return 0;
}

/* ---- opening and closing */

/* Value of an environment variable in UTF-8, to be freed; NULL when it is not set. */
static char *environment(const wchar_t *name)
{
    DWORD size = GetEnvironmentVariableW(name, NULL, 0);
    wchar_t *wide = size ? malloc(size * sizeof *wide) : NULL;
    char *value = wide ? malloc((size_t)size * 3) : NULL;
    if (value && GetEnvironmentVariableW(name, wide, size) < size) {
        text_from_wide(wide, value, (size_t)size * 3);
    } else {
        free(value);
        value = NULL;
    }
    free(wide);
    return value;
}

static uint32_t level_from_environment(void)
{
    static const char *const names[] = {"", "off", "error", "warn", "info", "debug"};
    uint32_t level = REDIRECTOR_LOG_INFO;
    char *value = environment(L"WINDOWS_REDIRECTOR_LOG_LEVEL");
    for (uint32_t i = REDIRECTOR_LOG_OFF; value && i <= REDIRECTOR_LOG_DEBUG; i++) {
        if (_stricmp(value, names[i]) == 0) {
            level = i;
        }
    }
    free(value);
    return level;
}

/*
 * Nobody asked for this log, so nothing fails for want of it. Where its folder cannot be written to (that of an
 * installed program) it goes to the folder for temporary files, whose name comes from the environment.
 */
static bool open_default_file(struct log *log, redirector_error *error)
{
    char path[(size_t)3 * (MAX_PATH + 1) + sizeof DEFAULT_FILE], note[sizeof error->text] = "there is no log";
    wchar_t folder[MAX_PATH + 1];
    log->file = log_file_open(DEFAULT_FILE, false, error);
    if (log->file || error->code != REDIRECTOR_LOG_FAILED) {
        return log->file != NULL;
    }
    uint32_t why = error->os_error ? error->os_error : ERROR_CANT_ACCESS_FILE; /* it may be a link, or no file */
    if (GetTempPathW(MAX_PATH + 1, folder)) {
        size_t length = text_from_wide(folder, path, sizeof path - sizeof DEFAULT_FILE);
        memcpy(path + length, DEFAULT_FILE, sizeof DEFAULT_FILE);
        log->file = log_file_open(path, true, error);
    }
    if (log->file) {
        snprintf(note, sizeof note, "the log is %.200s", path);
    }
    size_t used = strlen(note);
    snprintf(note + used, sizeof note - used,
             ", because it cannot be written to the current folder (Windows error %lu)", (unsigned long)why);
    error_note(error, why, note);
    return true;
}

static bool open_file(struct log *log, const char *path, redirector_error *error)
{
    char *value = path ? NULL : environment(L"WINDOWS_REDIRECTOR_LOG");
    const char *chosen = path ? path : value;
    if (!chosen) {
        return open_default_file(log, error);
    }
    if (*chosen) {
        log->file = log_file_open(chosen, value != NULL, error);
    }
    bool done = !*chosen || log->file;
    free(value);
    return done;
}

static bool start_thread(struct log *log)
{
    log->bell = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!log->bell) {
        return false;
    }
    atomic_store(&log->owners, 2);
    log->thread = CreateThread(NULL, 0, writer, log, 0, NULL);
    if (!log->thread) {
        atomic_store(&log->owners, 1);
    }
    return log->thread != NULL;
}

struct log *log_open(const char *path, uint32_t level, redirector_log_fn *fn, void *context, redirector_error *error)
{
    error_clear(error);
    if (level > REDIRECTOR_LOG_DEBUG) {
        error_set(error, REDIRECTOR_INVALID_ARGUMENT, 0, "log level");
        return NULL;
    }
    struct log *log = calloc(1, sizeof *log);
    if (!log) {
        error_set(error, REDIRECTOR_NO_MEMORY, 0, "log");
        return NULL;
    }
    for (uint32_t i = 0; i < LOG_RING_LINES; i++) {
        atomic_store(&log->ring[i].sequence, i);
    }
    atomic_store(&log->owners, 1);
    log->fn = fn;
    log->context = context;
    log->level = level == REDIRECTOR_LOG_DEFAULT ? level_from_environment() : level;
    if (log->level == REDIRECTOR_LOG_OFF) { /* nor a file, which would stay empty */
        return log;
    }
    if (!open_file(log, path, error)) {
        goto fail;
    }
    if (!start_thread(log)) {
        error_set(error, REDIRECTOR_NO_MEMORY, GetLastError(), "log");
        goto fail;
    }
    if (error->code == REDIRECTOR_OK && error->os_error) {
        log_line(log, REDIRECTOR_LOG_WARN, "%s", error->text);
    }
    return log;
fail:
    release(log);
    return NULL;
}

void log_close(struct log *log)
{
    if (!log) {
        return;
    }
    HANDLE thread = log->thread;
    if (thread) {
        atomic_store(&log->closing, true);
        SetEvent(log->bell);
        if (WaitForSingleObject(thread, CLOSE_MS) != WAIT_OBJECT_0) {
            /* The thread hangs in the file or in the callback. What it uses stays, its code included. */
            HMODULE self;
            GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                               (LPCWSTR)(void *)writer, &self);
        }
        atomic_store(&log->callback, CALLBACK_OVER);
        CloseHandle(thread);
    }
    release(log);
}

/* ---- writing */

bool log_wants(const struct log *log, uint32_t level)
{
    return log && level >= REDIRECTOR_LOG_ERROR && level <= log->level;
}

/* A slot to fill, *position its place; NULL: the ring is full. */
static struct slot *claim_slot(struct log *log, uint32_t *position)
{
    *position = atomic_load_explicit(&log->tail, memory_order_relaxed);
    for (;;) {
        struct slot *slot = &log->ring[*position % LOG_RING_LINES];
        int32_t turn = (int32_t)(atomic_load_explicit(&slot->sequence, memory_order_acquire) - *position);
        if (turn < 0) {
            return NULL;
        }
        if (turn > 0) {
            *position = atomic_load_explicit(&log->tail, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak(&log->tail, position, *position + 1)) {
            return slot;
        }
    }
}

void log_line(struct log *log, uint32_t level, const char *format, ...)
{
    uint32_t position;
    if (!log_wants(log, level)) {
        return;
    }
    struct slot *slot = claim_slot(log, &position);
    if (!slot) {
        atomic_fetch_add(&log->dropped, 1);
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(slot->text, sizeof slot->text, format, arguments) < 0) {
        slot->text[0] = 0;
    }
    va_end(arguments);
    text_clean(slot->text);
    slot->level = level;
    GetSystemTimePreciseAsFileTime(&slot->time);
    atomic_store(&slot->sequence, position + 1);
    if (atomic_load(&log->sleeping) && atomic_exchange(&log->sleeping, false)) {
        SetEvent(log->bell);
    }
}

uint64_t log_lines_dropped(const struct log *log)
{
    return log ? atomic_load(&log->dropped) : 0;
}
