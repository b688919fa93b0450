/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file error.h
 * Filling in a redirector_error. Names and texts come from the one list in the public header.
 */
#ifndef ERROR_H
#define ERROR_H

#include "windows_redirector.h"

#include <stdbool.h>

/**
 * Sets code, OS error and text: the status' own text, then `detail` (may be NULL) and the OS error's number and text.
 */
void error_set(redirector_error *error, redirector_status status, uint32_t os_error, const char *detail);

/** NO_MEMORY if that is what the OS error is about, else the other one. */
redirector_status error_status(uint32_t os_error, redirector_status otherwise);

/** Success, but something went otherwise than it should, because of that OS error: `note` says what. */
void error_note(redirector_error *error, uint32_t os_error, const char *note);

/** Success. */
void error_clear(redirector_error *error);

/**
 * Copies an error to the caller's structure; false when `to` is NULL or its size is unknown. `from` NULL: only
 * checks.
 */
bool error_copy(redirector_error *to, const redirector_error *from);

#endif
