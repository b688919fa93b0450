/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Lines of the live list. They fit a window of any width: the destination gets the width that the other columns leave,
 * and where that is too little the least important columns are omitted. A console cell holds one narrow character, so
 * wide ones are shown as '?'.
 */
#include "live.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

enum { PROCESS, PID, DESTINATION, STATE, UP, DOWN, AGE, COLUMNS };
enum { CELL_MAX = 320, DESTINATION_MIN = 18 };

static const struct column {
    const char *heading;
    unsigned width; /* 0: what the others leave */
    bool right;
    int dispensable; /* those with the highest number go first; 0: never */
} columns[COLUMNS] = {
    [PROCESS] = {"PROCESS", 18, false, 0}, [PID] = {"PID", 7, true, 2}, [DESTINATION] = {"DESTINATION", 0, false, 0},
    [STATE] = {"STATE", 16, false, 4},     [UP] = {"UP", 9, true, 0},   [DOWN] = {"DOWN", 9, true, 0},
    [AGE] = {"AGE", 7, true, 3},
};

/* ---- cells */

static void format_bytes(char out[CELL_MAX], uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(out, CELL_MAX, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void format_age(char out[CELL_MAX], uint64_t us)
{
    unsigned long long s = us / 1000000;
    if (s < 60) {
        snprintf(out, CELL_MAX, "%llus", s);
    } else if (s < 3600) {
        snprintf(out, CELL_MAX, "%llum%02llus", s / 60, s % 60);
    } else {
        snprintf(out, CELL_MAX, "%lluh%02llum", s / 3600, s / 60 % 60);
    }
}

static void format_cell(char out[CELL_MAX], int column, const struct report_connection *c)
{
    switch (column) {
    case PROCESS:
        text_copy_utf8(out, CELL_MAX, *c->process ? c->process : L"?");
        break;
    case PID:
        snprintf(out, CELL_MAX, "%" PRIu32, c->pid);
        break;
    case DESTINATION:
        if (c->incoming) {
            memcpy(out, "<- ", 4);
        }
        report_where(c->incoming ? out + 3 : out, CELL_MAX - 3, c);
        break;
    case STATE:
        snprintf(out, CELL_MAX, "%s", report_outcome_text(c->outcome));
        break;
    case UP:
        format_bytes(out, c->bytes_up);
        break;
    case DOWN:
        format_bytes(out, c->bytes_down);
        break;
    default:
        format_age(out, c->duration_us);
    }
}

/* ---- lines */

static bool is_wide(wchar_t unit)
{
    return (unit >= 0x1100 && unit < 0x2000) || (unit >= 0x2E80 && unit != 0xFFFD);
}

/* Fills exactly `width` places from UTF-8, cut with '~' or filled up with blanks. */
static void put(wchar_t *out, size_t width, const char *utf8, bool right)
{
    wchar_t wide[CELL_MAX];
    int units = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, CELL_MAX);
    size_t length = units > 0 ? (size_t)units - 1 : 0, count = 0;
    wide[length] = L'\0';
    text_defuse(wide);
    for (size_t i = 0; i < length; i++) {
        if (wide[i] >= 0xDC00 && wide[i] <= 0xDFFF) { /* the second half of a pair */
            continue;
        }
        wide[count++] = is_wide(wide[i]) ? L'?' : wide[i];
    }
    size_t shown = count < width ? count : width, blanks = width - shown;
    for (size_t i = 0; i < width; i++) {
        out[i] = L' ';
    }
    memcpy(out + (right ? blanks : 0), wide, shown * sizeof *wide);
    if (count > width && width) {
        out[width - 1] = L'~';
    }
    out[width] = L'\0';
}

/* How wide each column is in a window of that width; 0: it is left out. */
static void share(unsigned widths[COLUMNS], size_t width)
{
    for (int limit = 4;; limit--) {
        size_t used = 0;
        for (int i = 0; i < COLUMNS; i++) {
            widths[i] = columns[i].dispensable > limit ? 0 : columns[i].width;
            used += widths[i] ? widths[i] + 2 : 0;
        }
        widths[DESTINATION] = used + DESTINATION_MIN <= width ? (unsigned)(width - used) : DESTINATION_MIN;
        if (used + DESTINATION_MIN <= width || limit == 0) {
            return;
        }
    }
}

static void put_line(wchar_t *out, size_t width, const struct report_connection *c)
{
    unsigned widths[COLUMNS];
    share(widths, width);
    put(out, width, "", false);
    size_t at = 0;
    for (int i = 0; i < COLUMNS && at < width; i++) {
        char cell[CELL_MAX];
        if (!widths[i]) {
            continue;
        }
        if (c) {
            format_cell(cell, i, c);
        } else {
            snprintf(cell, sizeof cell, "%s", columns[i].heading);
        }
        size_t room = width - at < widths[i] ? width - at : widths[i];
        put(out + at, room, cell, columns[i].right);
        at += room;
        out[at] = at < width ? L' ' : L'\0';
        at += 2;
    }
    for (size_t i = 0; i < width; i++) { /* put() has ended each cell */
        out[i] = out[i] ? out[i] : L' ';
    }
    out[width] = L'\0';
}

void live_format_heading(wchar_t *out, size_t width)
{
    put_line(out, width, NULL);
}

void live_format_row(wchar_t *out, size_t width, const struct report_connection *c)
{
    put_line(out, width, c);
}

void live_format_totals(wchar_t *out, size_t width, const struct report_totals *t)
{
    char up[CELL_MAX], down[CELL_MAX], text[CELL_MAX];
    format_bytes(up, t->bytes_up);
    format_bytes(down, t->bytes_down);
    snprintf(text, sizeof text,
             "redirector   %" PRIu64 " open   %" PRIu64 " ended   %" PRIu64 " failed   %.12s up   %.12s down", t->live,
             t->connections, t->failed, up, down);
    put(out, width, text, false);
}

void live_format_foot(wchar_t *out, size_t width, size_t hidden)
{
    char text[CELL_MAX];
    if (hidden) {
        snprintf(text, sizeof text, "%zu more   Ctrl-C ends", hidden);
    } else {
        snprintf(text, sizeof text, "Ctrl-C ends");
    }
    put(out, width, text, false);
}
