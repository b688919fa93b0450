/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A WinDivert.dll that answers nothing. build.sh gives it the names of all functions that the library needs but one. */
#include <windows.h>

BOOL answer_nothing(void);
BOOL answer_nothing(void)
{
    return FALSE;
}
