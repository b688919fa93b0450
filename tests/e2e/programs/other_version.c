/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A WinDivert.dll of another version: it exports what 2.1 did, as far as a program would look. */
#define EXPORT __declspec(dllexport)

EXPORT void *WinDivertOpen(void);
EXPORT int WinDivertRecv(void);
EXPORT int WinDivertHelperNtohIpv6Address(void);

void *WinDivertOpen(void)
{
    return (void *)-1;
}

int WinDivertRecv(void)
{
    return 0;
}

int WinDivertHelperNtohIpv6Address(void)
{
    return 0;
}
