/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* doctor --report: collecting, and the two files. Text goes through mask.c on its way in, so nothing else is kept. */
#include "doctor_report.h"

#include "json.h"
#include "mask.h"
#include "output.h"
#include "text.h"
#include "windows_redirector.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { VALUE_MAX = 1500, PATH_UNITS = 1024, FIELDS_MAX = 20000 };

static const char *const sections[] = {"system", "files",    "firewall", "adapters", "filters",
                                       "users",  "findings", "steps",    "log"};

struct field {
    const char *section, *name;
    unsigned item;
    bool number;
    char *value;
};

static struct field *fields;
static unsigned field_count, field_space, item_count, lost;
static const char *current;
static bool wanted;

void doctor_report_begin(void)
{
    wanted = true;
    mask_learn();
}

bool doctor_report_wanted(void)
{
    return wanted;
}

void doctor_item(const char *section)
{
    current = section;
    item_count++;
}

static void add(const char *name, const char *value, bool number)
{
    if (field_count == field_space && field_space < FIELDS_MAX) {
        unsigned space = field_space ? 2 * field_space : 256;
        struct field *grown = realloc(fields, space * sizeof *grown);
        fields = grown ? grown : fields;
        field_space = grown ? space : field_space;
    }
    char *copy = field_count < field_space ? _strdup(value) : NULL;
    if (!copy) {
        lost++;
        return;
    }
    fields[field_count++] =
        (struct field){.section = current, .name = name, .item = item_count, .number = number, .value = copy};
}

void doctor_text(const char *name, const char *value)
{
    char masked[VALUE_MAX];
    if (wanted) {
        mask_text(masked, sizeof masked, value);
        add(name, masked, false);
    }
}

void doctor_own_text(const char *name, const char *format, ...)
{
    char text[VALUE_MAX];
    va_list arguments;
    if (wanted) {
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        add(name, text, false);
    }
}

void doctor_number(const char *name, double value)
{
    char text[64];
    if (wanted) {
        snprintf(text, sizeof text, "%.10g", value);
        add(name, text, true);
    }
}

/* ---- the files */

static void now(char out[JSON_TIME_MAX])
{
    FILETIME time;
    GetSystemTimeAsFileTime(&time);
    json_time(out, (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime);
}

static void write_json(FILE *file)
{
    char time[JSON_TIME_MAX], quoted[6 * VALUE_MAX];
    now(time);
    fprintf(file, "{\"type\":\"report\",\"time\":\"%s\",\"lost\":%u", time, lost);
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++) {
        unsigned item = 0;
        fprintf(file, ",\n\"%s\":[", sections[s]);
        for (unsigned i = 0; i < field_count; i++) {
            const struct field *f = &fields[i];
            if (strcmp(f->section, sections[s]) != 0) {
                continue;
            }
            if (f->item != item) {
                fprintf(file, "%s\n {", item ? "}," : "");
            }
            if (f->number) {
                snprintf(quoted, sizeof quoted, "%s", f->value);
            } else {
                json_string_utf8(quoted, sizeof quoted, f->value);
            }
            fprintf(file, "%s\"%s\":%s", f->item != item ? "" : ",", f->name, quoted);
            item = f->item;
        }
        fprintf(file, "%s]", item ? "}" : "");
    }
    fprintf(file, "}\n");
}

/* Control characters do not reach whoever shows the file on a terminal. */
static void write_value(FILE *file, const char *value)
{
    char shown[3 * VALUE_MAX];
    wchar_t *wide = text_wide(value);
    if (wide) {
        text_defuse(wide);
        text_copy_utf8(shown, sizeof shown, wide);
        fputs(shown, file);
    }
    free(wide);
}

static void write_text(FILE *file)
{
    char time[JSON_TIME_MAX];
    now(time);
    fprintf(file, "redirector doctor, %s\n", time);
    for (size_t s = 0; s < sizeof sections / sizeof sections[0]; s++) {
        unsigned item = 0;
        fprintf(file, "\n== %s\n", sections[s]);
        for (unsigned i = 0; i < field_count; i++) {
            const struct field *f = &fields[i];
            if (strcmp(f->section, sections[s]) == 0) {
                fprintf(file, "%s%s=", f->item == item ? "  " : item ? "\n" : "", f->name);
                write_value(file, f->value);
                item = f->item;
            }
        }
        fputs(item ? "\n" : "nothing\n", file);
    }
    if (lost) {
        fprintf(file, "\n%u values did not fit\n", lost);
    }
}

static bool write_one(const char *path, size_t length, const char *ending, void (*write)(FILE *))
{
    char whole[PATH_UNITS];
    snprintf(whole, sizeof whole, "%.*s%s", (int)length, path, ending);
    wchar_t *wide = text_wide(whole);
    FILE *file = wide ? _wfopen(wide, L"wb") : NULL;
    free(wide);
    if (file) {
        write(file);
    }
    bool good = file && !ferror(file);
    if ((file && fclose(file) != 0) || !good) {
        output_message("the report cannot be written to %s", whole);
        return false;
    }
    return true;
}

bool doctor_report_write(const char *path)
{
    size_t length = strlen(path);
    if (length > 4 && _stricmp(path + length - 4, ".txt") == 0) {
        length -= 4;
    } else if (length > 5 && _stricmp(path + length - 5, ".json") == 0) {
        length -= 5;
    }
    bool good = write_one(path, length, ".txt", write_text) && write_one(path, length, ".json", write_json);
    for (unsigned i = 0; i < field_count; i++) {
        free(fields[i].value);
    }
    free(fields);
    fields = NULL;
    field_count = field_space = 0;
    wanted = false;
    return good;
}
