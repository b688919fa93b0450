/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A DLL that exports nothing of WinDivert's. */
__declspec(dllexport) int nothing(void);

int nothing(void)
{
    return 0;
}
