/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The live list. It has a screen buffer of its own, so that the terminal comes back as it was, and writes whole lines
 * at fixed places: no escape sequences, so none can come from a name. Ended connections stay below the live ones, dim,
 * as far as there is room.
 */
#include "live.h"

#include "worker.h"

#include <stdlib.h>
#include <windows.h>

enum { REFRESH_MS = 250, WIDTH_MAX = 512, HEIGHT_MAX = 512, AROUND = 4 /* lines that are no connections */ };
enum {
    NORMAL = FOREGROUND_RED | FOREGROUND_GREEN | FOREGROUND_BLUE,
    BRIGHT = NORMAL | FOREGROUND_INTENSITY,
    DIM = FOREGROUND_INTENSITY,
    ALARM = FOREGROUND_RED | FOREGROUND_INTENSITY,
};

struct live {
    struct report *report;
    HANDLE before, screen;
    struct worker worker;
    struct report_connection rows[HEIGHT_MAX];
    COORD size;
};

bool live_possible(void)
{
    DWORD mode;
    return GetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), &mode);
}

static void draw_line(struct live *l, int y, const wchar_t *text, WORD colour)
{
    COORD at = {.X = 0, .Y = (SHORT)y};
    DWORD written;
    WriteConsoleOutputCharacterW(l->screen, text, (DWORD)l->size.X, at, &written);
    FillConsoleOutputAttribute(l->screen, colour, (DWORD)l->size.X, at, &written);
}

/* The window may have been resized: the buffer follows it, so that nothing scrolls. */
static void fit(struct live *l)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    COORD size = {.X = 80, .Y = 25};
    if (GetConsoleScreenBufferInfo(l->screen, &info)) {
        size.X = (SHORT)(info.srWindow.Right - info.srWindow.Left + 1);
        size.Y = (SHORT)(info.srWindow.Bottom - info.srWindow.Top + 1);
    }
    size.X = size.X < WIDTH_MAX ? size.X : WIDTH_MAX;
    size.Y = size.Y < HEIGHT_MAX ? size.Y : HEIGHT_MAX;
    if (size.X != l->size.X || size.Y != l->size.Y) {
        SetConsoleScreenBufferSize(l->screen, size);
    }
    l->size = size;
}

static WORD colour_of(const struct report_connection *c)
{
    switch (c->outcome) {
    case REPORT_OPEN:
        return NORMAL;
    case REPORT_CLOSED:
    case REPORT_CLIENT_RESET:
    case REPORT_SERVER_RESET:
    case REPORT_STOPPED:
        return DIM;
    default:
        return ALARM;
    }
}

static void draw(struct live *l)
{
    wchar_t line[WIDTH_MAX + 1];
    struct report_totals totals;
    fit(l);
    size_t width = (size_t)l->size.X, room = l->size.Y > AROUND ? (size_t)(l->size.Y - AROUND) : 0;
    size_t count = report_snapshot(l->report, l->rows, room, &totals);
    live_format_totals(line, width, &totals);
    draw_line(l, 0, line, BRIGHT);
    live_format_heading(line, width);
    draw_line(l, 2, line, BRIGHT);
    for (size_t i = 0; i < room; i++) {
        if (i < count) {
            live_format_row(line, width, &l->rows[i]);
        } else {
            wmemset(line, L' ', width);
        }
        draw_line(l, 3 + (int)i, line, i < count ? colour_of(&l->rows[i]) : NORMAL);
    }
    live_format_foot(line, width, totals.live > room ? (size_t)totals.live - room : 0);
    draw_line(l, l->size.Y - 1, line, DIM);
}

static void drawing(void *context)
{
    struct live *l = context;
    do {
        draw(l);
    } while (worker_pause(&l->worker, REFRESH_MS));
}

/* Some terminals show what the buffer before had only where it had something. */
static void wipe(struct live *l)
{
    wchar_t blank[WIDTH_MAX + 1];
    wmemset(blank, L' ', WIDTH_MAX);
    for (int y = 0; y < l->size.Y; y++) {
        draw_line(l, y, blank, NORMAL);
    }
}

struct live *live_start(struct report *report)
{
    static const CONSOLE_CURSOR_INFO hidden = {.dwSize = 1, .bVisible = FALSE};
    struct live *l = calloc(1, sizeof *l);
    if (!l) {
        return NULL;
    }
    l->report = report;
    l->before = GetStdHandle(STD_ERROR_HANDLE);
    l->screen = CreateConsoleScreenBuffer(GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                          CONSOLE_TEXTMODE_BUFFER, NULL);
    bool ready = l->screen != INVALID_HANDLE_VALUE && SetConsoleActiveScreenBuffer(l->screen);
    if (ready) {
        SetConsoleCursorInfo(l->screen, &hidden);
        ready = worker_start(&l->worker, drawing, l);
    }
    if (!ready) {
        live_stop(l);
        return NULL;
    }
    return l;
}

void live_stop(struct live *l)
{
    if (!l) {
        return;
    }
    worker_end(&l->worker);
    wipe(l);
    SetConsoleActiveScreenBuffer(l->before);
    if (l->screen != INVALID_HANDLE_VALUE) {
        CloseHandle(l->screen);
    }
    free(l);
}
