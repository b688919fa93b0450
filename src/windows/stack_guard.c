/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: -fstack-protector-strong needs two things at run time: a random number (the canary) that each
 * function puts between its buffers and its return address, and a function that is called when it was overwritten.
 *
 * mingw-w64 has them in libssp, which is either a DLL or a library that every program would have to name when it links
 * this archive. So they are defined here, under names of their own: a program that links libssp itself gets no
 * duplicate symbols. These two functions do without the protector: what it compares changes beneath the one, and has
 * been found changed by the other.
 *
 * When the canary was overwritten, the process is ended at once (__fastfail, as Windows' own code does): the stack can
 * no longer be trusted, so nothing can be returned or logged. This is the only case in which the library ends a
 * process.
 */
#include <stdint.h>
#include <windows.h>

#if __has_attribute(no_stack_protector)
#define UNPROTECTED __attribute__((no_stack_protector))
#else /* GCC before 11 */
#define UNPROTECTED __attribute__((optimize("no-stack-protector")))
#endif

extern uintptr_t redirector_stack_guard;
void redirector_stack_smashed(void);

/* A constant until the constructor has run. */
uintptr_t redirector_stack_guard = 0x00005bd1e995a700;

/*
 * Made as in Microsoft's start-up code, from values that differ with each start. Runs before all other code of this
 * library, while no function has the old canary on its stack.
 */
UNPROTECTED __attribute__((constructor)) static void make_guard(void)
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

UNPROTECTED void redirector_stack_smashed(void)
{
    enum { STACK_COOKIE_CHECK_FAILURE = 2 };
    /* __fastfail, which mingw-w64 10 does not declare */
    __asm__ volatile("int $0x29" : : "c"(STACK_COOKIE_CHECK_FAILURE));
    __builtin_unreachable();
}
