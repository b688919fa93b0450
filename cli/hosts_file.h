/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file hosts_file.h
 * The hosts file of Windows: names that are looked up without the DNS.
 */
#ifndef CLI_HOSTS_FILE_H
#define CLI_HOSTS_FILE_H

#include "windows_redirector.h"

/** Tells the redirector all names of the file. One that cannot be read has none. */
void hosts_file_tell(redirector *r);

#endif
