/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file job_object.h  The job object that keeps one root's descendants together. */
#ifndef WINDOWS_JOB_OBJECT_H
#define WINDOWS_JOB_OBJECT_H

#include "windows/process.h"

#include <windows.h>

struct job_object {
    HANDLE job;    /* NULL: none */
    HANDLE holder; /* the named event, when we hold the named job */
};

/**
 * A job that reports to the port, its messages carrying the key; nobody is in it yet, unless an earlier start on the
 * same root left it. false: GetLastError(); job_object_close() is still to be called.
 */
bool job_object_open(struct job_object *o, struct process_id root, HANDLE port, uint32_t key);
void job_object_close(struct job_object *o);

#endif
