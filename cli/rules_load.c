/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rules_load.h"

#include "output.h"
#include "text.h"
#include "upstream.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { MISTAKES_TOLD = 100 };

/* One reading of a file. */
struct reading {
    const char *name;
    const struct rules_teller *to;
    uint32_t mistakes;
};

static void say(void *context, const char *text)
{
    (void)context;
    output_message("%s", text);
}

const struct rules_teller rules_messages = {say, NULL};

void rules_tell(const struct rules_teller *to, const char *format, ...)
{
    char text[OUTPUT_LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    to->tell(to->context, text);
}

static void wrong(void *context, uint32_t line, uint32_t column, const char *what)
{
    struct reading *r = context;
    if (r->mistakes++ < MISTAKES_TOLD) {
        rules_tell(r->to, "%s:%" PRIu32 ":%" PRIu32 ": %s", r->name, line, column, what);
    }
}

static const char *check_url(void *context, const char *url)
{
    (void)context;
    return upstream_check(url);
}

static const char *any_url(void *context, const char *url)
{
    (void)context, (void)url;
    return NULL;
}

bool rules_load_bytes(const char *name, const char *bytes, size_t size, bool logins, const struct rules_teller *to,
                      struct rules_loaded *out)
{
    struct reading r = {name, to, 0};
    const struct rules_file_reader reader = {&r, wrong, logins ? check_url : any_url};
    *out = (struct rules_loaded){.bytes = malloc(size ? size : 1), .size = size};
    if (!out->bytes) {
        rules_tell(to, "out of memory");
        return false;
    }
    memcpy(out->bytes, bytes, size);
    bool good = rules_file_read(out->bytes, size, &reader, &out->file);
    if (r.mistakes > MISTAKES_TOLD) {
        rules_tell(to, "%s: %" PRIu32 " more mistakes", name, r.mistakes - MISTAKES_TOLD);
    }
    if (!good) {
        rules_unload(out);
    }
    return good;
}

char *rules_read_bytes(const wchar_t *path, size_t *size)
{
    enum { MOST = RULES_FILE_BYTES_MAX + 1 };
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, 0, NULL);
    DWORD got = 1, error = GetLastError();
    char *bytes = file == INVALID_HANDLE_VALUE ? NULL : malloc(MOST);
    for (*size = 0; bytes && got && *size < MOST; *size += got) {
        if (!ReadFile(file, bytes + *size, (DWORD)(MOST - *size), &got, NULL)) {
            error = GetLastError();
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != INVALID_HANDLE_VALUE) {
        CloseHandle(file);
    }
    SetLastError(error);
    return bytes;
}

void rules_free_bytes(char *bytes, size_t size)
{
    if (bytes) {
        SecureZeroMemory(bytes, size);
    }
    free(bytes);
}

bool rules_load(const wchar_t *path, bool logins, struct rules_loaded *out)
{
    size_t size = 0;
    char *bytes = rules_read_bytes(path, &size);
    DWORD error = GetLastError();
    char *name = text_utf8(path);
    bool good = false;
    *out = (struct rules_loaded){.size = 0};
    if (!bytes) {
        output_message("%s cannot be read (error %lu)", name ? name : "the file of rules", error);
    } else {
        good = rules_load_bytes(name ? name : "rules", bytes, size, logins, &rules_messages, out);
    }
    rules_free_bytes(bytes, size);
    free(name);
    return good;
}

void rules_unload(struct rules_loaded *l)
{
    if (l->file.texts) {
        SecureZeroMemory(l->file.texts, l->size);
    }
    rules_file_free(&l->file);
    rules_free_bytes(l->bytes, l->size);
    *l = (struct rules_loaded){.size = 0};
}
