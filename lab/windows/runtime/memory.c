/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the four functions that the compiler may call at any time, written with the string
 * instructions of the processor, and memory from Wine's pool.
 */
#include <ddk/wdm.h>

#include "../platform.h"

enum { POOL_TAG = 0x2062616c }; /* "lab " */

void *memset(void *to, int value, size_t size)
{
    void *result = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

void *memcpy(void *to, const void *from, size_t size)
{
    void *result = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

void *memmove(void *to, const void *from, size_t size)
{
    uint8_t *last_to = (uint8_t *)to + size - 1;
    const uint8_t *last_from = (const uint8_t *)from + size - 1;

    if ((uintptr_t)to - (uintptr_t)from >= size) {
        return memcpy(to, from, size);
    }
    __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(last_to), "+S"(last_from), "+c"(size) : : "memory");
    return to;
}

int memcmp(const void *left, const void *right, size_t size)
{
    const uint8_t *a = left, *b = right;

    for (; size > 0; size--, a++, b++) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}

void *lab_allocate(size_t size)
{
    void *memory = ExAllocatePoolWithTag(NonPagedPool, size, POOL_TAG);

    return memory ? memset(memory, 0, size) : NULL;
}

void lab_free(void *memory)
{
    if (memory) {
        ExFreePoolWithTag(memory, POOL_TAG);
    }
}
