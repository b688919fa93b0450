/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The same as main.c, by Microsoft's rules: compiled for their ABI, and linked as their linker does, with the DLL's .lib.
 * Their C library cannot be had here: so what it needs of Windows is declared by hand.
 */
#include <windows_redirector.h>

__declspec(dllimport) void *__stdcall GetStdHandle(unsigned long which);
__declspec(dllimport) int __stdcall WriteFile(void *file, const void *data, unsigned long size, unsigned long *written,
                                              void *overlapped);
__declspec(dllimport) __declspec(noreturn) void __stdcall ExitProcess(unsigned int status);

void start(void);

void start(void)
{
    const unsigned long output = (unsigned long)-11; /* STD_OUTPUT_HANDLE */
    const char *version = redirector_version();
    unsigned long size = 0;
    unsigned long written = 0;
    while (version[size] != '\0') {
        size++;
    }
    WriteFile(GetStdHandle(output), version, size, &written, 0);
    ExitProcess(size == 0 || written != size);
}
