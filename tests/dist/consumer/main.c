/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What any program does first with a library that it found: asks for its version, and compares it with the header's. */
#include <windows_redirector.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("%s\n", redirector_version());
    return strcmp(redirector_version(), REDIRECTOR_VERSION_STRING) != 0;
}
