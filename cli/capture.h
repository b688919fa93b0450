/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file capture.h
 * The packets of the redirected connections, as the programs see them, into a file.
 */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H

#include "windows_redirector.h"

typedef struct capture capture;

/** Begins. NULL: the user has been told why. */
capture *capture_start(redirector *r, const char *path);

/** Writes what is left and closes the file; the redirector must still run. NULL is fine. */
void capture_stop(capture *c);

#endif
