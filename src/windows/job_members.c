/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Theory of operation: an array, looked through from its beginning; a tree has tens of members, seldom hundreds. */
#include "windows/job_members.h"

#include <stdlib.h>

struct job_member *job_members_find(const struct job_members *m, uint32_t pid)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->all[i].id.pid == pid) {
            return &m->all[i];
        }
    }
    return NULL;
}

struct job_member *job_members_add(struct job_members *m, uint32_t root, uint32_t pid, HANDLE process)
{
    if (m->count == m->room) {
        uint32_t room = m->room ? m->room * 2 : 64;
        struct job_member *larger = realloc(m->all, room * sizeof *larger);
        if (!larger) {
            CloseHandle(process);
            return NULL;
        }
        m->all = larger;
        m->room = room;
    }
    struct job_member *member = &m->all[m->count++];
    *member = (struct job_member){
        .id = {.pid = pid, .created = process_created(process)},
        .process = process,
        .root = root,
        .since = GetTickCount64(),
    };
    m->unannounced++;
    return member;
}

static void remove_member(struct job_members *m, struct job_member *member)
{
    CloseHandle(member->process);
    m->outside -= member->outside;
    *member = m->all[--m->count];
}

void job_members_set_outside(struct job_members *m, struct job_member *member, uint32_t os_error)
{
    member->outside = true;
    member->os_error = os_error;
    m->outside++;
}

void job_members_set_inside(struct job_members *m, struct job_member *member)
{
    member->outside = false;
    m->outside--;
}

void job_members_look_at(struct job_members *m, struct job_member *member)
{
    if (!member->ended && process_has_exited(member->process)) {
        member->ended = true;
        m->unannounced++;
    }
}

struct process_event job_members_announce(struct job_members *m, struct job_member *member)
{
    struct process_event event = {.id = member->id, .exited = member->announced};
    m->unannounced--;
    if (event.exited) {
        event.to = process_ended(member->process);
        remove_member(m, member);
    } else {
        member->announced = true;
        event.outside = member->outside;
        event.os_error = member->os_error;
    }
    return event;
}

bool job_members_next(struct job_members *m, struct process_event *event)
{
    for (uint32_t i = 0; m->unannounced && i < m->count; i++) {
        struct job_member *member = &m->all[i];
        if (!member->announced || member->ended) {
            *event = job_members_announce(m, member);
            return true;
        }
    }
    return false;
}

void job_members_free(struct job_members *m)
{
    while (m->count) {
        remove_member(m, &m->all[0]);
    }
    free(m->all);
    *m = (struct job_members){0};
}
