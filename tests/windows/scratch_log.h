/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The log's file in a scratch folder, as its tests see it. */
#ifndef SCRATCH_LOG_H
#define SCRATCH_LOG_H

#include "check.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define PATH "test.log"

static redirector_error error;

static inline void remove_files(void)
{
    DeleteFileA(PATH);
    DeleteFileA(PATH ".1");
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG", NULL);
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG_LEVEL", NULL);
}

/* The file's text, to be freed; NULL when there is none. */
static inline char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
    }
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*size + 1);
    *size = fread(text, 1, *size, f);
    text[*size] = 0;
    fclose(f);
    return text;
}

static inline bool file_has(const char *path, const char *wanted)
{
    size_t size;
    char *text = read_file(path, &size);
    bool has = text && strstr(text, wanted);
    free(text);
    return has;
}

static inline bool exists(const char *path)
{
    return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

#endif
