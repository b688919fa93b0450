/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file windows.h
 * As much of Windows' header as src/windows/text.c needs to be compiled for Linux, where the sanitizers are. The
 * functions are in text.c of the fuzz targets. Compiled with -fshort-wchar, because UTF-16 is what it is about.
 */
#ifndef FUZZ_SHIM_WINDOWS_H
#define FUZZ_SHIM_WINDOWS_H

#include <wchar.h>

enum { CP_UTF8 = 65001, MB_ERR_INVALID_CHARS = 8, ERROR_NOT_ENOUGH_MEMORY = 8 };

int MultiByteToWideChar(unsigned page, unsigned long flags, const char *text, int bytes, wchar_t *wide, int chars);
void SetLastError(unsigned long code);

#endif
