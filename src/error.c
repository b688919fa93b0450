/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an error text is "<text of the status>: <detail> (Windows error 5: Access is denied)".
 *
 * The field is short and a detail may be a path of 32767 characters. So the detail is truncated, and the advice before
 * it and the number after it are kept. The number is there because Windows' own text is in the user's language.
 */
#include "error.h"

#include "windows/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

enum { FIELD_SIZE = sizeof((redirector_error *)0)->text };

/* This leaves room for a detail and the number. */
#define STATUS_FITS(name, number, text) static_assert(sizeof(text) < FIELD_SIZE - 100, #name);
REDIRECTOR_STATUS_LIST(STATUS_FITS)
#undef STATUS_FITS

static const char *status_text(redirector_status status)
{
    switch (status) {
#define STATUS_CASE(name, number, text)                                                                                \
    case REDIRECTOR_##name:                                                                                            \
        return text;
        REDIRECTOR_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown error";
}

/* One line without the full stop, the blanks and the line end that Windows puts after its texts. */
static void windows_text(uint32_t os_error, char *out, size_t size)
{
    wchar_t wide[200];
    DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    DWORD length = FormatMessageW(flags, NULL, os_error, 0, wide, sizeof wide / sizeof *wide, NULL);
    while (length && (wide[length - 1] <= L' ' || wide[length - 1] == L'.')) {
        length--;
    }
    wide[length] = 0;
    text_from_wide(wide, out, size);
}

void error_set(redirector_error *error, redirector_status status, uint32_t os_error, const char *detail)
{
    if (!error) {
        return;
    }
    char reason[140] = "";
    char suffix[180] = "";
    if (os_error) {
        windows_text(os_error, reason, sizeof reason);
        snprintf(suffix, sizeof suffix, " (Windows error %lu%s%s)", (unsigned long)os_error, *reason ? ": " : "",
                 reason);
    }
    const char *text = status_text(status);
    size_t taken = strlen(text) + strlen(suffix);
    char shortened[sizeof error->text] = "";
    if (detail && *detail && taken + sizeof ": ..." < sizeof error->text) {
        size_t room = sizeof error->text - taken - strlen(": ");
        bool fits = strlen(detail) < room;
        snprintf(shortened, fits ? room : room - strlen("..."), "%s", detail);
        text_clean(shortened);
        if (!fits) {
            memcpy(shortened + strlen(shortened), "...", sizeof "...");
        }
    }
    error->size = sizeof *error;
    error->code = (uint32_t)status;
    error->os_error = os_error;
    snprintf(error->text, sizeof error->text, "%s%s%s%s", text, *shortened ? ": " : "", shortened, suffix);
    text_clean(error->text);
}

redirector_status error_status(uint32_t os_error, redirector_status otherwise)
{
    switch (os_error) {
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NOT_ENOUGH_QUOTA:
        return REDIRECTOR_NO_MEMORY;
    default:
        return otherwise;
    }
}

void error_note(redirector_error *error, uint32_t os_error, const char *note)
{
    if (error) {
        *error = (redirector_error){.size = sizeof *error, .code = REDIRECTOR_OK, .os_error = os_error};
        snprintf(error->text, sizeof error->text, "%s", note);
        text_clean(error->text);
    }
}

void error_clear(redirector_error *error)
{
    error_set(error, REDIRECTOR_OK, 0, NULL);
}

bool error_copy(redirector_error *to, const redirector_error *from)
{
    if (!to || to->size != sizeof *to) { /* the only size there has been so far */
        return false;
    }
    if (from) {
        *to = *from;
        to->size = sizeof *to;
    }
    return true;
}
