// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: "@WinDiv_", the version (0), the number of tests, then each test after an
// underscore: field, operator, sign, argument, and where success and failure lead (A accept, X reject,
// L and a number: another test). Numbers are in base 32, highest digit first, and the last digit is
// from an alphabet of its own, so that no separator is needed. An argument has as many numbers as the
// field's values have words; that of an index field is followed by its byte index, counted from -65535.
#include "serial.h"

#include <string.h>

#include "field.h"

static char *put_number(char *at, uint32_t number)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
    static const char last[] = "WXYZabcdefghijklmnopqrstuvwxyz+=";
    int shift = 30;

    while (shift > 0 && number >> shift == 0)
        shift -= 5;
    for (; shift > 0; shift -= 5)
        *at++ = digits[number >> shift & 31];
    *at++ = last[number & 31];
    return at;
}

static char *put_target(char *at, unsigned target)
{
    if (target == WD_ACCEPT) {
        *at++ = 'A';
    } else if (target == WD_REJECT) {
        *at++ = 'X';
    } else {
        *at++ = 'L';
        at = put_number(at, target);
    }
    return at;
}

static char *put_test(char *at, const struct wd_filter_object *object)
{
    at = put_number(at, object->field);
    at = put_number(at, object->test);
    at = put_number(at, object->negative);
    for (unsigned i = 0; i < field_words(object->field); i++)
        at = put_number(at, object->arg[i]);
    if (field_is_indexed(object->field))
        at = put_number(at, object->arg[1] + UINT16_MAX);
    at = put_target(at, object->success);
    return put_target(at, object->failure);
}

size_t serial_write(const struct filter *filter, char text[SERIAL_MAX])
{
    static const char magic[] = "@WinDiv_";
    char *at = text + sizeof(magic) - 1;

    memcpy(text, magic, sizeof(magic));
    at = put_number(at, 0);
    at = put_number(at, filter->count);
    for (unsigned i = 0; i < filter->count; i++) {
        *at++ = '_';
        at = put_test(at, &filter->objects[i]);
    }
    *at++ = '\0';
    return (size_t)(at - text);
}
