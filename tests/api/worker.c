/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Commands are lines on pipes (worker.h); a worker serves them one after the other. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

#include <fcntl.h>
#include <io.h>

enum { CONNECTIONS = 64, WAIT_MS = 30000 };

static void give_up(const char *what)
{
    printf("FAIL %s: error %lu\n", what, (unsigned long)GetLastError());
    exit(1);
}

int address_of(const char *text, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((u_short)port);
        return sizeof *four;
    }
    inet_pton(AF_INET6, text, &six->sin6_addr);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((u_short)port);
    return sizeof *six;
}

static int port_of(SOCKET s)
{
    struct sockaddr_storage name;
    int length = sizeof name;
    getsockname(s, (struct sockaddr *)&name, &length);
    return ntohs(((struct sockaddr_in *)&name)->sin_port); /* in the same place in both families */
}

/* ---- servers */

struct visit {
    struct server *server;
    SOCKET connection;
};

/* Reads numbers of four bytes, and after each as many bytes, and says so; until the other end closes. */
static DWORD WINAPI attend(void *pointer)
{
    struct visit visit = *(struct visit *)pointer;
    static char sink[65536];
    int length;
    free(pointer);
    if (visit.server->met) {
        visit.server->met(visit.connection);
    }
    send(visit.connection, &visit.server->word, 1, 0);
    while (recv(visit.connection, (char *)&length, sizeof length, MSG_WAITALL) == sizeof length) {
        while (length > 0) {
            int got = recv(visit.connection, sink, length < (int)sizeof sink ? length : (int)sizeof sink, 0);
            if (got <= 0) {
                break;
            }
            length -= got;
        }
        send(visit.connection, &visit.server->word, 1, 0);
    }
    closesocket(visit.connection);
    return 0;
}

static DWORD WINAPI serve(void *pointer)
{
    struct server *server = pointer;
    for (;;) {
        SOCKET connection = accept(server->listener, NULL, NULL);
        if (connection == INVALID_SOCKET) {
            return 0;
        }
        struct visit *visit = malloc(sizeof *visit);
        *visit = (struct visit){server, connection};
        CloseHandle(CreateThread(NULL, 0, attend, visit, 0, NULL));
    }
}

int server_start(struct server *s, const char *address, int port)
{
    struct sockaddr_storage name;
    int length = address_of(address, port, &name);
    s->listener = socket(name.ss_family, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&name, length) || listen(s->listener, SOMAXCONN)) {
        give_up("a server");
    }
    CloseHandle(CreateThread(NULL, 0, serve, s, 0, NULL));
    return port_of(s->listener);
}

/* ---- the worker itself */

static SOCKET connections[CONNECTIONS];
static int connection_count;

static void dial(const char *address, int port, char *answer)
{
    struct sockaddr_storage name;
    int length = address_of(address, port, &name);
    SOCKET s = socket(name.ss_family, SOCK_STREAM, 0);
    char word;
    if (connect(s, (struct sockaddr *)&name, length) || recv(s, &word, 1, 0) != 1) {
        sprintf(answer, "error %d", WSAGetLastError());
        closesocket(s);
        return;
    }
    sprintf(answer, "%c %d", word, port_of(s));
    if (connection_count < CONNECTIONS) {
        connections[connection_count++] = s;
    }
}

static void send_bytes(int count, char *answer)
{
    static char bytes[65536];
    SOCKET s = connections[connection_count - 1];
    char word;
    send(s, (char *)&count, sizeof count, 0);
    while (count > 0) {
        int sent = send(s, bytes, count < (int)sizeof bytes ? count : (int)sizeof bytes, 0);
        if (sent <= 0) {
            break;
        }
        count -= sent;
    }
    strcpy(answer, !count && recv(s, &word, 1, 0) == 1 ? "sent" : "error");
}

int worker_visit(const char *address, const char *port)
{
    char answer[256];
    dial(address, atoi(port), answer);
    return *answer == 'W' ? 7 : 1;
}

int worker_main(void)
{
    static char line[256], answer[256];
    static struct worker child;
    static struct server listeners[8];
    int listener_count = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        char address[64];
        int number;
        line[strcspn(line, "\r\n")] = 0;
        if (strcmp(line, "pid") == 0) {
            sprintf(answer, "%lu", (unsigned long)GetCurrentProcessId());
        } else if (sscanf(line, "dial %63s %d", address, &number) == 2) {
            dial(address, number, answer);
        } else if (sscanf(line, "send %d", &number) == 1) {
            send_bytes(number, answer);
        } else if (strcmp(line, "close") == 0) {
            while (connection_count) {
                closesocket(connections[--connection_count]);
            }
            strcpy(answer, "closed");
        } else if (sscanf(line, "listen %63s", address) == 1) {
            listeners[listener_count] = (struct server){.word = 'L'};
            sprintf(answer, "%d", server_start(&listeners[listener_count++], address, 0));
        } else if (strncmp(line, "child ", 6) == 0) {
            if (!child.process) {
                child = worker_start();
            }
            strcpy(answer, worker_do(&child, "%s", line + 6));
        } else {
            break;
        }
        printf("%s\n", answer);
    }
    if (child.process) {
        worker_end(&child);
    }
    return 0;
}

/* ---- for who has workers */

struct worker worker_start_program(const char *command)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    HANDLE its_input, to, from, its_output;
    char line[256];
    if (!CreatePipe(&its_input, &to, &inherited, 0) || !CreatePipe(&from, &its_output, &inherited, 0)) {
        give_up("a pipe");
    }
    SetHandleInformation(to, HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
    STARTUPINFOA startup = {
        .cb = sizeof startup,
        .dwFlags = STARTF_USESTDHANDLES,
        .hStdInput = its_input,
        .hStdOutput = its_output,
        .hStdError = GetStdHandle(STD_ERROR_HANDLE),
    };
    PROCESS_INFORMATION info;
    snprintf(line, sizeof line, "%s", command);
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &info)) {
        give_up(command);
    }
    CloseHandle(info.hThread);
    CloseHandle(its_input);
    CloseHandle(its_output);
    return (struct worker){
        .process = info.hProcess,
        .to = _fdopen(_open_osfhandle((intptr_t)to, 0), "w"),
        .from = _fdopen(_open_osfhandle((intptr_t)from, _O_RDONLY), "r"),
        .pid = info.dwProcessId,
    };
}

struct worker worker_start(void)
{
    return worker_start_program("api_test.exe worker");
}

const char *worker_line(struct worker *w)
{
    static char line[256];
    if (!fgets(line, sizeof line, w->from)) {
        strcpy(line, "it is gone");
    }
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

const char *worker_do(struct worker *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(w->to, format, arguments);
    va_end(arguments);
    fprintf(w->to, "\n");
    fflush(w->to);
    return worker_line(w);
}

void worker_end(struct worker *w)
{
    fclose(w->to);
    if (WaitForSingleObject(w->process, WAIT_MS) != WAIT_OBJECT_0) {
        TerminateProcess(w->process, 1);
    }
    fclose(w->from);
    CloseHandle(w->process);
}
