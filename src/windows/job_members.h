/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file job_members.h  The members of a process job: open handles, and what is still to be told of them. */
#ifndef WINDOWS_JOB_MEMBERS_H
#define WINDOWS_JOB_MEMBERS_H

#include "windows/process_internal.h"

struct job_member {
    struct process_id id;
    HANDLE process;  /* kept until the end has been told: until then the pid cannot be reused */
    uint32_t root;   /* number of the job that it is in, or should be in */
    ULONGLONG since; /* GetTickCount64() */
    bool settled;    /* nothing more is done about the inner job */
    bool outside;    /* it is not in the job, because of: */
    uint32_t os_error;
    bool announced;
    bool ended; /* to be announced */
};

struct job_members {
    struct job_member *all;
    uint32_t count, room;
    uint32_t unannounced; /* with something to announce */
    uint32_t outside;
};

/** NULL: none. Until the next call that adds or removes. */
struct job_member *job_members_find(const struct job_members *m, uint32_t pid);

/** Takes the handle. NULL: no memory. */
struct job_member *job_members_add(struct job_members *m, uint32_t root, uint32_t pid, HANDLE process);

/** It is outside of its job. */
void job_members_set_outside(struct job_members *m, struct job_member *member, uint32_t os_error);

void job_members_set_inside(struct job_members *m, struct job_member *member);

/** If the member's process has ended, that is to be announced from now on. */
void job_members_look_at(struct job_members *m, struct job_member *member);

/** That it began, or, after that, that it has ended: then it is removed. */
struct process_event job_members_announce(struct job_members *m, struct job_member *member);

/** false: there is nothing to announce. */
bool job_members_next(struct job_members *m, struct process_event *event);

void job_members_free(struct job_members *m);

#endif
