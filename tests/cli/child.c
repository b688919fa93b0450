/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The program that the tests start. Its first argument says what to do:
 *   args ...      print each further argument on a line, as the C runtime has taken them apart, UTF-8
 *   exit N        end with that status
 *   wait [N]      until standard input ends; then end with status N
 *   handles       print how many bound sockets it has inherited
 */
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

extern int _dowildcard;
int _dowildcard = 0;

static void print_line(const wchar_t *text)
{
    char utf8[8192];
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8, sizeof utf8, NULL, NULL);
    printf("%.*s\n", size > 0 ? size - 1 : 0, utf8);
}

static int count_sockets(void)
{
    WSADATA data;
    int count = 0;
    WSAStartup(MAKEWORD(2, 2), &data);
    for (UINT_PTR handle = 4; handle < 4096; handle += 4) {
        struct sockaddr_in6 name; /* getsockopt of Wine 8 does not know inherited sockets */
        int size = sizeof name;
        if (getsockname((SOCKET)handle, (struct sockaddr *)&name, &size) == 0)
            count++;
    }
    return count;
}

int wmain(int argc, wchar_t **argv)
{
    const wchar_t *what = argc > 1 ? argv[1] : L"";
    if (wcscmp(what, L"args") == 0) {
        for (int i = 2; i < argc; i++)
            print_line(argv[i]);
        return 0;
    }
    if (wcscmp(what, L"exit") == 0 && argc > 2)
        return (int)wcstoul(argv[2], NULL, 10);
    if (wcscmp(what, L"wait") == 0) {
        while (getchar() != EOF)
            ;
        return argc > 2 ? _wtoi(argv[2]) : 0;
    }
    if (wcscmp(what, L"handles") == 0) {
        printf("%d\n", count_sockets());
        return 0;
    }
    return 99;
}
