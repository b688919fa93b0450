/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a line is put together in a buffer on the stack and handed to the wire as a record
 * for the daemon's log. What does not fit is cut off.
 */
#include <stdarg.h>

#include "../platform.h"

enum { LINE_MAX = 400, DIGITS_MAX = 24 };

struct line {
    char text[LINE_MAX];
    unsigned length;
};

static void add(struct line *line, char character)
{
    if (line->length < LINE_MAX) {
        line->text[line->length++] = character;
    }
}

static void add_string(struct line *line, const char *string)
{
    for (string = string ? string : "(null)"; *string; string++) {
        add(line, *string);
    }
}

static void add_wide(struct line *line, const uint16_t *string)
{
    for (; string && *string; string++) {
        add(line, *string < 0x80 ? (char)*string : '?');
    }
}

static void add_number(struct line *line, uint64_t number, unsigned base)
{
    char digits[DIGITS_MAX];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[number % base];
    } while ((number /= base) != 0);
    while (count > 0) {
        add(line, digits[--count]);
    }
}

static void add_signed(struct line *line, int64_t number)
{
    if (number < 0) {
        add(line, '-');
    }
    add_number(line, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10);
}

/* Returns where the conversion ends. */
static const char *add_argument(struct line *line, const char *at, va_list *arguments)
{
    while (at[0] == 'l' && at[1]) {
        at++;
    }
    switch (*at) {
    case 's':
        add_string(line, va_arg(*arguments, const char *));
        break;
    case 'S':
        add_wide(line, va_arg(*arguments, const uint16_t *));
        break;
    case 'd':
        add_signed(line, at[-1] == 'l' ? va_arg(*arguments, int64_t) : va_arg(*arguments, int32_t));
        break;
    case 'u':
        add_number(line, at[-1] == 'l' ? va_arg(*arguments, uint64_t) : va_arg(*arguments, uint32_t), 10);
        break;
    case 'x':
        add_number(line, at[-1] == 'l' ? va_arg(*arguments, uint64_t) : va_arg(*arguments, uint32_t), 16);
        break;
    case 'p':
        add_number(line, (uintptr_t)va_arg(*arguments, void *), 16);
        break;
    default:
        add(line, *at);
    }
    return at;
}

void lab_log(const char *format, ...)
{
    struct line line = {.length = 0};
    struct lab_head head = {LAB_LOG, sizeof(head)};
    va_list arguments;

    va_start(arguments, format);
    for (; *format; format++) {
        if (format[0] != '%' || !format[1]) {
            add(&line, *format);
        } else {
            format = add_argument(&line, format + 1, &arguments);
        }
    }
    va_end(arguments);
    wire_put(&head, line.text, line.length);
}
