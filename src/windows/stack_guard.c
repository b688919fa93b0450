/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What -fstack-protector-strong needs at run time: a number that an attacker cannot know, laid between a function's
 * buffers and its return address, and what is done when it was overwritten.
 *
 * mingw-w64 has these in libssp, which is a DLL of its own, or else a library that every program would have to name
 * when it links our archive. So here are our own, under names of our own: a program that does link libssp, for itself,
 * gets no symbol twice. This file is compiled without the protector.
 *
 * Who finds the number overwritten ends the process at once (__fastfail, as Windows' own code does): the stack is no
 * longer to be trusted, so nothing can be returned or logged. It is the one case in which the library ends a process.
 */
#include <stdint.h>
#include <windows.h>

extern uintptr_t redirector_stack_guard;
void redirector_stack_smashed(void);

/* In place from the first instruction on; made unknown by the constructor. */
uintptr_t redirector_stack_guard = 0x00005bd1e995a700;

/*
 * As Microsoft's start-up code makes its own: from what differs with each start. Runs before all other code of ours,
 * while no function has the old number on its stack.
 */
__attribute__((constructor)) static void make_guard(void)
{
    LARGE_INTEGER counter;
    FILETIME now;
    QueryPerformanceCounter(&counter);
    GetSystemTimePreciseAsFileTime(&now);
    uint64_t n = (uint64_t)counter.QuadPart ^ ((uint64_t)now.dwLowDateTime << 32 | now.dwHighDateTime);
    n ^= (uint64_t)GetCurrentProcessId() << 20 ^ GetCurrentThreadId();
    n ^= (uintptr_t)&counter; /* where Windows put the stack */
    n = (n ^ n >> 31) * 0x9e3779b97f4a7c15;
    n = (n ^ n >> 29) * 0xbf58476d1ce4e5b9;
    redirector_stack_guard = (uintptr_t)(n ^ n >> 32) & ~(uintptr_t)0xff; /* a zero byte stops what copies strings */
}

void redirector_stack_smashed(void)
{
    enum { STACK_COOKIE_CHECK_FAILURE = 2 };
    /* __fastfail, which mingw-w64 10 does not declare */
    __asm__ volatile("int $0x29" : : "c"(STACK_COOKIE_CHECK_FAILURE));
    __builtin_unreachable();
}
