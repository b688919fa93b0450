/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file doctor_report.h
 * doctor --report: what a maintainer needs of a machine that he cannot see, and nothing that says whose it is. One list
 * of items, each in a section, written as text and as JSON. All calls are of one thread, and do nothing before
 * doctor_report_begin().
 */
#ifndef CLI_DOCTOR_REPORT_H
#define CLI_DOCTOR_REPORT_H

#include <stdbool.h>

/** From now on items are collected; the machine's own names are learned, to be left out. */
void doctor_report_begin(void);
bool doctor_report_wanted(void);

/** Begins an item of a section ("system", "files" ...: the list is in doctor_report.c). */
void doctor_item(const char *section);

/** Fields of the item. The name is not copied. Text of others is masked (mask.h); own text must say nothing of anyone. */
void doctor_text(const char *name, const char *value);
void doctor_own_text(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_number(const char *name, double value);

/**
 * Writes `path`.txt and `path`.json; an ending .txt or .json of `path` is left out first. False: a message was shown.
 * `path` is UTF-8.
 */
bool doctor_report_write(const char *path);

#endif
