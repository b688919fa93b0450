/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The log: levels, environment, callback, a full ring, many writers, closing. The file: test_log_file.c. */
#include "scratch_log.h"

#include <stdatomic.h>

static void writes_time_level_and_text(void)
{
    remove_files();
    struct log *log = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    CHECK(log != NULL);
    log_line(log, REDIRECTOR_LOG_INFO, "hello %d", 42);
    log_line(log, REDIRECTOR_LOG_ERROR, "bad\nnews\x1b");
    log_close(log);
    size_t size = 0;
    char *text = read_file(PATH, &size);
    int year, month, day, hour, minute, second, ms, end = 0;
    CHECK(text && sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ INFO  hello 42\n%n", &year, &month, &day, &hour, &minute,
                         &second, &ms, &end) == 7);
    SYSTEMTIME now;
    GetSystemTime(&now);
    CHECK(year == now.wYear || year + 1 == now.wYear);
    CHECK(end && strstr(text + end, "Z ERROR bad?news?\n") && text[size - 1] == '\n');
    free(text);
}

static void appends(void)
{
    remove_files();
    for (int i = 0; i < 2; i++) {
        struct log *log = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
        log_line(log, REDIRECTOR_LOG_INFO, "run %d", i);
        log_close(log);
    }
    CHECK(file_has(PATH, "run 0") && file_has(PATH, "run 1"));
}

static void honours_levels(void)
{
    for (uint32_t level = REDIRECTOR_LOG_ERROR; level <= REDIRECTOR_LOG_DEBUG; level++) {
        remove_files();
        struct log *log = log_open(PATH, level, NULL, NULL, &error);
        for (uint32_t l = REDIRECTOR_LOG_ERROR; l <= REDIRECTOR_LOG_DEBUG; l++) {
            CHECK(log_wants(log, l) == (l <= level));
            log_line(log, l, "line %lu", (unsigned long)l);
        }
        log_close(log);
        for (uint32_t l = REDIRECTOR_LOG_ERROR; l <= REDIRECTOR_LOG_DEBUG; l++) {
            char wanted[20];
            snprintf(wanted, sizeof wanted, "line %lu", (unsigned long)l);
            CHECK(file_has(PATH, wanted) == (l <= level));
        }
    }
    CHECK(!log_open(PATH, REDIRECTOR_LOG_DEBUG + 1, NULL, NULL, &error) && error.code == REDIRECTOR_INVALID_ARGUMENT);
}

static void off_makes_no_file(void)
{
    remove_files();
    struct log *log = log_open(PATH, REDIRECTOR_LOG_OFF, NULL, NULL, &error);
    CHECK(log && !log_wants(log, REDIRECTOR_LOG_ERROR));
    log_line(log, REDIRECTOR_LOG_ERROR, "unseen");
    log_close(log);
    CHECK(!exists(PATH));
    log_close(NULL);
    log_line(NULL, REDIRECTOR_LOG_ERROR, "unheard");
    CHECK(!log_wants(NULL, REDIRECTOR_LOG_ERROR));
}

static void reads_the_environment(void)
{
    static const struct {
        const char *value;
        uint32_t level;
    } levels[] = {{"error", 2}, {"WARN", 3}, {"info", 4}, {"debug", 5}, {"nonsense", 4}, {NULL, 4}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        remove_files();
        SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG", PATH);
        SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG_LEVEL", levels[i].value);
        struct log *log = log_open(NULL, REDIRECTOR_LOG_DEFAULT, NULL, NULL, &error);
        CHECK(log_wants(log, levels[i].level) && !log_wants(log, levels[i].level + 1));
        log_close(log);
        CHECK(exists(PATH));
    }
    remove_files();
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG_LEVEL", "off");
    struct log *log = log_open(PATH, REDIRECTOR_LOG_DEFAULT, NULL, NULL, &error);
    CHECK(log && !log_wants(log, REDIRECTOR_LOG_ERROR));
    log_close(log);
    /* What the program asks for beats the environment. */
    log = log_open(PATH, REDIRECTOR_LOG_DEBUG, NULL, NULL, &error);
    CHECK(log_wants(log, REDIRECTOR_LOG_DEBUG));
    log_close(log);
    remove_files();
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG", "elsewhere.log");
    log_close(log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error));
    CHECK(exists(PATH) && !exists("elsewhere.log"));
}

/* ---- callback */

struct receiver {
    _Atomic int lines;
    _Atomic int inside;
    bool overlapped;      /* two calls at once */
    HANDLE entered, gate; /* when set: the first call waits for the gate */
    char last[LOG_LINE_MAX];
    uint32_t level;
};

static void receive(void *context, uint32_t level, const char *line)
{
    struct receiver *r = context;
    if (atomic_fetch_add(&r->inside, 1)) {
        r->overlapped = true;
    }
    r->level = level;
    snprintf(r->last, sizeof r->last, "%s", line);
    if (atomic_fetch_add(&r->lines, 1) == 0 && r->gate) {
        SetEvent(r->entered);
        WaitForSingleObject(r->gate, INFINITE);
    }
    atomic_fetch_sub(&r->inside, 1);
}

static void calls_back(void)
{
    struct receiver r = {0};
    struct log *log = log_open("", REDIRECTOR_LOG_INFO, receive, &r, &error);
    log_line(log, REDIRECTOR_LOG_WARN, "to the callback");
    log_line(log, REDIRECTOR_LOG_DEBUG, "not wanted");
    log_close(log);
    CHECK(r.lines == 1 && r.level == REDIRECTOR_LOG_WARN && strcmp(r.last, "to the callback") == 0);
}

static void cuts_long_lines(void)
{
    struct receiver r = {0};
    char text[2 * LOG_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    struct log *log = log_open("", REDIRECTOR_LOG_INFO, receive, &r, &error);
    log_line(log, REDIRECTOR_LOG_INFO, "%s", text);
    log_close(log);
    CHECK(strlen(r.last) == LOG_LINE_MAX - 1);
}

static void open_gate(struct receiver *r)
{
    *r = (struct receiver){.entered = CreateEventW(NULL, FALSE, FALSE, NULL),
                           .gate = CreateEventW(NULL, TRUE, FALSE, NULL)};
}

static void full_ring_counts_and_tells(void)
{
    enum { EXTRA = 100 };
    struct receiver r;
    open_gate(&r);
    struct log *log = log_open("", REDIRECTOR_LOG_INFO, receive, &r, &error);
    log_line(log, REDIRECTOR_LOG_INFO, "held");
    WaitForSingleObject(r.entered, INFINITE);
    ULONGLONG begin = GetTickCount64();
    for (int i = 0; i < LOG_RING_LINES + EXTRA; i++) {
        log_line(log, REDIRECTOR_LOG_INFO, "line %d", i);
    }
    CHECK(GetTickCount64() - begin < 2000); /* the thread is stuck: nobody may wait for it */
    /* The held line still has its slot. */
    CHECK(log_lines_dropped(log) == EXTRA + 1);
    SetEvent(r.gate);
    log_close(log);
    CHECK(r.lines == 1 + LOG_RING_LINES - 1 + 1);
    CHECK(strcmp(r.last, "log lines dropped: 101") == 0 && r.level == REDIRECTOR_LOG_WARN);
    CloseHandle(r.entered);
    CloseHandle(r.gate);
}

static void close_does_not_wait_for_a_stuck_callback(void)
{
    static struct receiver r; /* outlives the log */
    open_gate(&r);
    struct log *log = log_open("", REDIRECTOR_LOG_INFO, receive, &r, &error);
    log_line(log, REDIRECTOR_LOG_INFO, "held");
    log_line(log, REDIRECTOR_LOG_INFO, "must not come after close");
    WaitForSingleObject(r.entered, INFINITE);
    ULONGLONG begin = GetTickCount64();
    log_close(log);
    ULONGLONG took = GetTickCount64() - begin;
    CHECK(took >= 150 && took < 1000);
    SetEvent(r.gate);
    while (atomic_load(&r.inside)) { /* the callback returns to the log's thread */
        Sleep(1);
    }
    Sleep(100); /* nothing to wait for: what must not happen is a second call */
    CHECK(r.lines == 1);
    CloseHandle(r.entered);
    CloseHandle(r.gate);
}

enum { WRITERS = 8, LINES_EACH = 5000 };

static DWORD WINAPI write_lines(void *argument)
{
    static _Atomic int next;
    int writer = atomic_fetch_add(&next, 1) % WRITERS;
    for (int i = 0; i < LINES_EACH; i++) {
        log_line(argument, REDIRECTOR_LOG_INFO, "writer %d line %d of %d", writer, i, LINES_EACH);
    }
    return 0;
}

/* Every line in the file is whole, each writer's lines are in order, and written plus lost is all. */
static void check_lines(char *text, uint64_t lost)
{
    int last[WRITERS], written = 0;
    memset(last, -1, sizeof last);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        int writer, number, end = 0;
        const char *body = strstr(line, "INFO  writer ");
        if (!body) {
            CHECK(strstr(line, "log lines dropped: "));
        } else {
            CHECK(sscanf(body, "INFO  writer %d line %d of 5000%n", &writer, &number, &end) == 2 && !body[end]);
            CHECK(writer >= 0 && writer < WRITERS && number > last[writer]);
            last[writer] = number;
            written++;
        }
    }
    printf("# %d lines written, %d lost\n", written, (int)lost);
    CHECK((uint64_t)written + lost == WRITERS * LINES_EACH && written > LOG_RING_LINES);
}

static void many_writers(void)
{
    remove_files();
    HANDLE threads[WRITERS];
    struct log *log = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    for (int i = 0; i < WRITERS; i++) {
        threads[i] = CreateThread(NULL, 0, write_lines, log, 0, NULL);
    }
    WaitForMultipleObjects(WRITERS, threads, TRUE, INFINITE);
    for (int i = 0; i < WRITERS; i++) {
        CloseHandle(threads[i]);
    }
    uint64_t lost = log_lines_dropped(log);
    log_close(log);
    size_t size;
    char *text = read_file(PATH, &size);
    CHECK(text != NULL);
    if (text) {
        check_lines(text, lost);
    }
    free(text);
}

static void close_writes_all(void)
{
    for (int round = 0; round < 20; round++) {
        struct receiver r = {0};
        struct log *log = log_open("", REDIRECTOR_LOG_INFO, receive, &r, &error);
        for (int i = 0; i < LOG_RING_LINES; i++) {
            log_line(log, REDIRECTOR_LOG_INFO, "%d", i);
        }
        log_close(log);
        CHECK(r.lines == LOG_RING_LINES && !r.overlapped && strcmp(r.last, "1023") == 0);
    }
}

static void wakes_up_for_each_line(void)
{
    struct receiver r = {0};
    struct log *log = log_open("", REDIRECTOR_LOG_INFO, receive, &r, &error);
    for (int i = 1; i <= 200; i++) {
        log_line(log, REDIRECTOR_LOG_INFO, "%d", i);
        ULONGLONG deadline = GetTickCount64() + 5000;
        while (atomic_load(&r.lines) < i && GetTickCount64() < deadline) {
            SwitchToThread();
        }
        if (r.lines < i) {
            break;
        }
    }
    CHECK(r.lines == 200);
    log_close(log);
}

int main(void)
{
    RUN(writes_time_level_and_text);
    RUN(appends);
    RUN(honours_levels);
    RUN(off_makes_no_file);
    RUN(reads_the_environment);
    RUN(calls_back);
    RUN(cuts_long_lines);
    RUN(full_ring_counts_and_tells);
    RUN(close_does_not_wait_for_a_stuck_callback);
    RUN(many_writers);
    RUN(close_writes_all);
    RUN(wakes_up_for_each_line);
    remove_files();
    return checks_done();
}
