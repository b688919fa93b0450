/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file hosts_file.h
 * The hosts file of Windows: names that are looked up without the DNS.
 */
#ifndef CLI_HOSTS_FILE_H
#define CLI_HOSTS_FILE_H

#include "windows_redirector.h"

#include <stddef.h>

enum { HOSTS_FILE_ADDRESSES_MAX = 1024 };

/** An address and the name that stands last beside it. */
struct hosts_entry {
    redirector_address address;
    const char *name;
};

/** Reads the text, which ends with NUL and is changed: names lead into it. The number of entries; of what has no room in
 * `out` the number is in *left_out. */
uint32_t hosts_file_read(char *text, struct hosts_entry out[HOSTS_FILE_ADDRESSES_MAX], uint32_t *left_out);

/** Tells the redirector all names of the file. One that cannot be read has none. */
void hosts_file_tell(redirector *r);

#endif
