/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A WinDivert.dll without one of the functions that the library needs: LACKS_Open and so on says which. */
#include <windows.h>

#define FUNCTION(name)                                                                                                 \
    __declspec(dllexport) BOOL WinDivert##name(void);                                                                  \
    BOOL WinDivert##name(void)                                                                                         \
    {                                                                                                                  \
        return FALSE;                                                                                                  \
    }

#ifndef LACKS_Open
FUNCTION(Open)
#endif
#ifndef LACKS_RecvEx
FUNCTION(RecvEx)
#endif
#ifndef LACKS_SendEx
FUNCTION(SendEx)
#endif
#ifndef LACKS_Shutdown
FUNCTION(Shutdown)
#endif
#ifndef LACKS_Close
FUNCTION(Close)
#endif
#ifndef LACKS_SetParam
FUNCTION(SetParam)
#endif
#ifndef LACKS_GetParam
FUNCTION(GetParam)
#endif
#ifndef LACKS_HelperNtohIPv6Address
FUNCTION(HelperNtohIPv6Address)
#endif
