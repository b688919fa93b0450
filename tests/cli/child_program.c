/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The program that the tests start. Its first argument says what to do:
 *   args ...      print each further argument on a line, as the C runtime has taken them apart, UTF-8
 *   exit N        end with that status
 *   wait [N]      until standard input ends; then end with status N; makes the file that WAITING_FILE names
 *   handles       print how many bound sockets it has inherited
 *   raw ...       print the whole command line as it came
 *   pass LINE     start LINE as it is, wait for it, and end with its status
 *   pass @FILE    the same with the text of a file, UTF-8
 *   say FILE HEX  open it, write these bytes, and read until NUL or its end
 *   hold FILE     open it to read and write, print "open", and wait until standard input ends
 *   crowd N       start itself N times to wait, and wait
 *   launch ...    start itself with these arguments and end at once, before the other has done anything
 *   tell ADDRESS PORT TEXT
 *                 connect, send the text, print what comes back until its end
 *   answer TEXT   open a redirector's control channel, print the process id, answer each request with the text and without
 *                 an end, and go on until standard input ends
 *   datagrams ADDRESS PORT COUNT
 *                 send datagrams until COUNT answers have come or there is none for a while; print how many came
 *   refused ADDRESS PORT
 *                 send datagrams until receiving fails by something else than time; print the error
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
        if (getsockname((SOCKET)handle, (struct sockaddr *)&name, &size) == 0) {
            count++;
        }
    }
    return count;
}

/* 0: it could not be started. */
static HANDLE start(wchar_t *line, HANDLE *go)
{
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &startup, &process)) {
        return NULL;
    }
    *go = process.hThread;
    return process.hProcess;
}

static int pass(wchar_t *line)
{
    wchar_t text[4096] = L"";
    char bytes[4096] = "";
    FILE *file = *line == L'@' ? _wfopen(line + 1, L"rb") : NULL;
    if (file && fread(bytes, 1, sizeof bytes - 1, file)) {
        MultiByteToWideChar(CP_UTF8, 0, bytes, -1, text, 4096);
        line = text;
    }
    HANDLE thread, process = start(line, &thread);
    DWORD status = 98;
    if (!process) {
        return 97;
    }
    ResumeThread(thread);
    WaitForSingleObject(process, INFINITE);
    GetExitCodeProcess(process, &status);
    return (int)status;
}

static int wait_for_end(int status)
{
    const wchar_t *name = _wgetenv(L"WAITING_FILE");
    FILE *file = name ? _wfopen(name, L"wb") : NULL;
    if (file) {
        fclose(file);
    }
    while (getchar() != EOF) {
        ;
    }
    return status;
}

static int launch(int argc, wchar_t **argv)
{
    wchar_t line[4096];
    HANDLE thread;
    int used = _snwprintf(line, 4096, L"\"%ls\"", argv[0]);
    for (int i = 2; i < argc; i++) {
        used += _snwprintf(line + used, 4096 - (size_t)used, L" \"%ls\"", argv[i]);
    }
    if (!start(line, &thread)) {
        return 97;
    }
    ResumeThread(thread);
    return 0;
}

/* They share standard input, and so end together. */
static int crowd(wchar_t **argv, int count)
{
    wchar_t line[4096];
    HANDLE thread;
    while (count-- > 0) {
        _snwprintf(line, 4096, L"\"%ls\" wait", argv[0]);
        if (!start(line, &thread)) {
            return 97;
        }
        ResumeThread(thread);
    }
    while (getchar() != EOF) {
        ;
    }
    return 0;
}

static int hold(const wchar_t *path)
{
    HANDLE file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return 1;
    }
    printf("open\n");
    fflush(stdout);
    while (getchar() != EOF) {
        ;
    }
    return 0;
}

/* Opens it, writes bytes, and reads until the other end sends a NUL, or has had enough. */
static int say(const wchar_t *path, const wchar_t *bytes)
{
    HANDLE file = INVALID_HANDLE_VALUE;
    for (int i = 0; i < 100 && file == INVALID_HANDLE_VALUE; i++) { /* another one may be served */
        file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
        if (file == INVALID_HANDLE_VALUE) {
            WaitNamedPipeW(path, 100);
        }
    }
    if (file == INVALID_HANDLE_VALUE) {
        return 1;
    }
    char data[4096], got = 1;
    DWORD size = 0, done = 1;
    for (unsigned byte; size < sizeof data && swscanf(bytes + 2 * size, L"%2x", &byte) == 1; size++) {
        data[size] = (char)byte;
    }
    WriteFile(file, data, size, &done, NULL);
    while (got && ReadFile(file, &got, 1, &done, NULL) && done) {
        ;
    }
    return 0;
}

static SOCKET open_socket(wchar_t **argv, int type)
{
    WSADATA data;
    struct addrinfoW hints = {.ai_socktype = type}, *found;
    WSAStartup(MAKEWORD(2, 2), &data);
    if (GetAddrInfoW(argv[0], argv[1], &hints, &found) != 0) {
        return INVALID_SOCKET;
    }
    SOCKET s = socket(found->ai_family, type, 0);
    struct sockaddr_storage any = {.ss_family = (short)found->ai_family};
    if (type == SOCK_DGRAM) { /* in the lab only an explicit bind is told as an event */
        bind(s, (struct sockaddr *)&any, (int)found->ai_addrlen);
    }
    if (connect(s, found->ai_addr, (int)found->ai_addrlen) == 0) {
        return s;
    }
    closesocket(s);
    return INVALID_SOCKET;
}

static int tell(wchar_t **argv)
{
    char text[4096];
    SOCKET s = open_socket(argv, SOCK_STREAM);
    int size = WideCharToMultiByte(CP_UTF8, 0, argv[2], -1, text, sizeof text, NULL, NULL) - 1, got;
    if (s == INVALID_SOCKET) {
        return 1;
    }
    send(s, text, size, 0);
    while ((got = recv(s, text, sizeof text, 0)) > 0) {
        fwrite(text, 1, (size_t)got, stdout);
    }
    return got < 0;
}

static int datagrams(wchar_t **argv)
{
    enum { TRIES = 20, PATIENCE_MS = 250 };
    SOCKET s = open_socket(argv, SOCK_DGRAM);
    DWORD patience = PATIENCE_MS;
    int wanted = _wtoi(argv[2]), came = 0;
    char answer[64];
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience);
    for (int i = 0; i < TRIES && came < wanted; i++) {
        send(s, "hello", 5, 0);
        came += recv(s, answer, sizeof answer, 0) > 0;
    }
    printf("%d\n", came);
    return 0;
}

static int refused(wchar_t **argv)
{
    enum { TRIES = 20, PATIENCE_MS = 1000 };
    SOCKET s = open_socket(argv, SOCK_DGRAM);
    DWORD patience = PATIENCE_MS;
    int error = WSAETIMEDOUT;
    char answer[64];
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&patience, sizeof patience);
    for (int i = 0; i < TRIES && error == WSAETIMEDOUT; i++) {
        error = send(s, "hello", 5, 0) < 0 || recv(s, answer, sizeof answer, 0) < 0 ? WSAGetLastError() : 0;
    }
    printf("%d\n", error);
    return 0;
}

static DWORD WINAPI answer_requests(void *argument)
{
    wchar_t name[64];
    char text[256], request[64];
    DWORD bytes;
    WideCharToMultiByte(CP_UTF8, 0, argument, -1, text, sizeof text, NULL, NULL);
    _snwprintf(name, 64, L"\\\\.\\pipe\\windows-redirector-%lu", GetCurrentProcessId());
    HANDLE pipe = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 4096, 4096, 0, NULL);
    printf("%lu\n", GetCurrentProcessId());
    fflush(stdout);
    while (ConnectNamedPipe(pipe, NULL) || GetLastError() == ERROR_PIPE_CONNECTED) {
        while (ReadFile(pipe, request, sizeof request, &bytes, NULL) && bytes) {
            WriteFile(pipe, text, (DWORD)strlen(text), &bytes, NULL);
        }
        DisconnectNamedPipe(pipe);
    }
    return 0;
}

static int answer(wchar_t *text)
{
    CloseHandle(CreateThread(NULL, 0, answer_requests, text, 0, NULL));
    while (getchar() != EOF) {
        ;
    }
    return 0;
}

int wmain(int argc, wchar_t **argv)
{
    const wchar_t *what = argc > 1 ? argv[1] : L"";
    if (wcscmp(what, L"args") == 0) {
        for (int i = 2; i < argc; i++) {
            print_line(argv[i]);
        }
        return 0;
    }
    if (wcscmp(what, L"exit") == 0 && argc > 2) {
        return (int)wcstoul(argv[2], NULL, 10);
    }
    if (wcscmp(what, L"wait") == 0) {
        return wait_for_end(argc > 2 ? _wtoi(argv[2]) : 0);
    }
    if (wcscmp(what, L"handles") == 0) {
        printf("%d\n", count_sockets());
        return 0;
    }
    if (wcscmp(what, L"raw") == 0) {
        print_line(GetCommandLineW());
        return 0;
    }
    if (wcscmp(what, L"pass") == 0 && argc > 2) {
        return pass(argv[2]);
    }
    if (wcscmp(what, L"hold") == 0 && argc > 2) {
        return hold(argv[2]);
    }
    if (wcscmp(what, L"say") == 0 && argc > 3) {
        return say(argv[2], argv[3]);
    }
    if (wcscmp(what, L"crowd") == 0 && argc > 2) {
        return crowd(argv, _wtoi(argv[2]));
    }
    if (wcscmp(what, L"launch") == 0) {
        return launch(argc, argv);
    }
    if (wcscmp(what, L"tell") == 0 && argc == 5) {
        return tell(argv + 2);
    }
    if (wcscmp(what, L"answer") == 0 && argc == 3) {
        return answer(argv[2]);
    }
    if (wcscmp(what, L"datagrams") == 0 && argc == 5) {
        return datagrams(argv + 2);
    }
    if (wcscmp(what, L"refused") == 0 && argc == 4) {
        return refused(argv + 2);
    }
    return 99;
}
