/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the driver stamps an event with the time at which it is told of it. Here that is later
 * than the event, by a message or by a scripted delay. So whoever tells it sets the clock of its thread to
 * the event's time.
 */
#include "ntoskrnl.h"

#include "../runtime/thread.h"

/* Missing in mingw's headers for drivers. */
NTSTATUS NTAPI NtQueryPerformanceCounter(LARGE_INTEGER *counter, LARGE_INTEGER *frequency);

void clock_set(int64_t ticks)
{
    struct thread_state *state = ticks ? thread_state() : thread_state_find();

    if (state) {
        state->clock = ticks;
    }
}

LARGE_INTEGER NTAPI lab_KeQueryPerformanceCounter(LARGE_INTEGER *frequency)
{
    const struct thread_state *state = thread_state_find();
    LARGE_INTEGER counter;

    NtQueryPerformanceCounter(&counter, frequency);
    if (state && state->clock) {
        counter.QuadPart = state->clock;
    }
    return counter;
}
