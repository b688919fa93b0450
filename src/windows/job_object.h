/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file job_object.h  The job objects that keep one root's descendants together. */
#ifndef WINDOWS_JOB_OBJECT_H
#define WINDOWS_JOB_OBJECT_H

#include "windows/process.h"

#include <windows.h>

struct job_object {
    HANDLE job;    /* NULL: none */
    HANDLE inner;  /* nested in it */
    HANDLE holder; /* the named event, when we hold the named jobs */
};

/**
 * A job that reports to the port, its messages carrying the key; nobody is in it yet, unless an earlier start on the
 * same root left it. false: GetLastError(); job_object_close() is still to be called.
 */
bool job_object_open(struct job_object *o, struct process_id root, HANDLE port, uint32_t key);
void job_object_close(struct job_object *o);

/** Puts a process into the job and into the inner one. false: GetLastError(); it is not in the job. */
bool job_object_put(struct job_object *o, uint32_t pid);

/** Puts a process of the job, which has left the inner one, into that again, if Windows lets us. */
void job_object_return(struct job_object *o, uint32_t pid, HANDLE process);

#endif
