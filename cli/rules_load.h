/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file rules_load.h  A file of rules from the disk, with its mistakes told to the user. */
#ifndef CLI_RULES_LOAD_H
#define CLI_RULES_LOAD_H

#include "rules_file.h"

#include <wchar.h>

struct rules_loaded {
    struct rules_file file;
    char *bytes; /**< the file as it was read; NULL: there is none */
    size_t size;
};

/** Who is told what is wrong with rules. */
struct rules_teller {
    void (*tell)(void *context, const char *text);
    void *context;
};

/** Each as a message of the program. */
extern const struct rules_teller rules_messages;

/** Tells one thing, of at most 4000 bytes. */
void rules_tell(const struct rules_teller *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The bytes of a file, to be freed, as many as are needed to see that it is too large. NULL: GetLastError(). */
char *rules_read_bytes(const wchar_t *path, size_t *size);

/** Wiped before: there may be passwords in them. NULL is fine. */
void rules_free_bytes(char *bytes, size_t size);

/**
 * Reads a file. false: it cannot be read, or has mistakes: a message for each ("PATH:LINE:COLUMN: what"), and *out is
 * empty. rules_unload() in any case.
 */
bool rules_load(const wchar_t *path, bool logins, struct rules_loaded *out);

/** The same of bytes that came from elsewhere, under a name for messages; they are copied. Of many mistakes the first 100
 * are told. Without `logins` proxies are taken as they are written, though their passwords may be missing. */
bool rules_load_bytes(const char *name, const char *bytes, size_t size, bool logins, const struct rules_teller *to,
                      struct rules_loaded *out);

void rules_unload(struct rules_loaded *l);

#endif
