/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a line has an address, and names of it; '#' begins a comment. An address counts under one name, as
 * everywhere: the one that stands last (R2). Lists that lead thousands of names to one address are therefore cheap.
 */
#include "hosts_file.h"

#include "address.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

enum { FILE_MAX = 4 << 20, NAME_MAX_BYTES = 253, ADDRESSES_MAX = 1024 };

/* An address and the name that stands last beside it. */
struct entry {
    redirector_address address;
    const char *name;
};

static const char blanks[] = " \t\r\f\v";

/* The next word of a line; NULL: there is none. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, blanks);
    if (!*word || *word == '#') {
        return NULL;
    }
    size_t length = strcspn(word, " \t\r\f\v#");
    bool last = !word[length] || word[length] == '#';
    word[length] = '\0';
    *at = word + length + (last ? 0 : 1);
    return word;
}

static bool read_address(const char *word, redirector_address *out)
{
    *out = (redirector_address){.family = 4};
    if (inet_pton(AF_INET, word, out->bytes) != 1) {
        out->family = 6;
        return inet_pton(AF_INET6, word, out->bytes) == 1;
    }
    return true;
}

/* Reads the text, which ends with NUL and is changed: names lead into it. The number of entries; of what has no room in
 * `out` the number is in *left_out. */
static uint32_t read_entries(char *text, struct entry out[ADDRESSES_MAX], uint32_t *left_out)
{
    uint32_t count = 0;
    *left_out = 0;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
    }
    for (char *line = text, *next; line; line = next) {
        char *end = strchr(line, '\n'), *name = NULL;
        next = end ? end + 1 : NULL;
        if (end) {
            *end = '\0';
        }
        struct entry e;
        char *word = next_word(&line);
        if (!word || !read_address(word, &e.address)) {
            continue;
        }
        while ((word = next_word(&line)) != NULL) {
            name = strlen(word) <= NAME_MAX_BYTES ? word : name;
        }
        e.name = name;
        uint32_t at = 0;
        while (at < count && !address_equal(&out[at].address, &e.address)) {
            at++;
        }
        if (name && at < ADDRESSES_MAX) {
            out[at] = e;
            count += at == count;
        } else if (name) {
            (*left_out)++;
        }
    }
    return count;
}

static char *read_file(void)
{
    wchar_t path[MAX_PATH + 32];
    UINT length = GetSystemDirectoryW(path, MAX_PATH);
    char *text = length && length < MAX_PATH ? malloc(FILE_MAX + 1) : NULL;
    if (!text) {
        return NULL;
    }
    wcscpy(path + length, L"\\drivers\\etc\\hosts");
    FILE *file = _wfopen(path, L"rb");
    if (!file) {
        free(text);
        return NULL;
    }
    text[fread(text, 1, FILE_MAX, file)] = '\0';
    fclose(file);
    return text;
}

void hosts_file_tell(redirector *r)
{
    char *text = read_file();
    struct entry *entries = calloc(ADDRESSES_MAX, sizeof *entries);
    uint32_t left_out = 0, count = text && entries ? read_entries(text, entries, &left_out) : 0;
    for (uint32_t i = 0; i < count; i++) {
        redirector_tell_name(r, &entries[i].address, entries[i].name);
    }
    if (left_out) {
        output_message("the hosts file of Windows names more than %d addresses; rules that name a host do not see the "
                       "rest",
                       ADDRESSES_MAX);
    }
    free(entries);
    free(text);
}
