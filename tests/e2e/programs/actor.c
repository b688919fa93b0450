/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Commands are read from a file that grows; each that may wait has a thread of its own, and answers are written whole. */
#include "actor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 2, STACK_BYTES = 128 * 1024 };

static HANDLE output;
static SRWLOCK output_lock = SRWLOCK_INIT;
static const struct command_entry *tables[2];

/* ---- JSON */

static void append(struct json *j, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (j->length + (size_t)length + 1 > j->room) {
        j->room = 2 * (j->room + (size_t)length) + 256;
        j->text = realloc(j->text, j->room);
        if (!j->text) {
            abort();
        }
    }
    va_start(arguments, format);
    vsnprintf(j->text + j->length, j->room - j->length, format, arguments);
    va_end(arguments);
    j->length += (size_t)length;
}

static void begin_value(struct json *j, const char *key)
{
    if (j->length && !strchr("{[", j->text[j->length - 1])) {
        append(j, ",");
    }
    if (key) {
        append(j, "\"%s\":", key);
    }
}

void json_open(struct json *j, const char *key, char bracket)
{
    begin_value(j, key);
    append(j, "%c", bracket);
}

void json_close(struct json *j, char bracket)
{
    append(j, "%c", bracket);
}

void json_number(struct json *j, const char *key, long long value)
{
    begin_value(j, key);
    append(j, "%lld", value);
}

void json_string(struct json *j, const char *key, const char *value)
{
    begin_value(j, key);
    append(j, "\"");
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        append(j, c == '"' || c == '\\' ? "\\%c" : c < ' ' ? "\\u%04x" : "%c", c);
    }
    append(j, "\"");
}

void json_error(struct json *j, const char *what, unsigned code)
{
    json_string(j, "error", what);
    json_number(j, "code", code);
}

/* ---- commands */

const char *command_text(const struct command *c, const char *key, const char *fallback)
{
    for (int i = 0; i < c->count; i++) {
        if (strcmp(c->keys[i], key) == 0) {
            return c->values[i];
        }
    }
    return fallback;
}

uint64_t command_number(const struct command *c, const char *key, uint64_t fallback)
{
    const char *text = command_text(c, key, NULL);
    return text ? strtoull(text, NULL, 0) : fallback;
}

/* false: not a command. */
static bool command_parse(struct command *c)
{
    char *at = c->line, *word;
    c->count = 0;
    word = strtok_s(at, " \r\n", &at);
    c->name = strtok_s(NULL, " \r\n", &at);
    if (!word || !c->name) {
        return false;
    }
    c->number = (unsigned)strtoul(word, NULL, 10);
    while (c->count < COMMAND_KEYS_MAX && (word = strtok_s(NULL, " \r\n", &at))) {
        char *equals = strchr(word, '=');
        if (!equals) {
            return false;
        }
        *equals = '\0';
        c->keys[c->count] = word;
        c->values[c->count++] = equals + 1;
    }
    return true;
}

static void emit(const struct json *j)
{
    DWORD written;
    AcquireSRWLockExclusive(&output_lock);
    WriteFile(output, j->text, (DWORD)j->length, &written, NULL);
    ReleaseSRWLockExclusive(&output_lock);
}

static DWORD WINAPI run_command(void *argument)
{
    struct command *c = argument;
    struct json answer = {0};
    const struct command_entry *entry = NULL;
    for (int i = 0; i < 2 && !entry; i++) {
        for (const struct command_entry *e = tables[i]; e && e->name; e++) {
            entry = strcmp(e->name, c->name) == 0 ? e : entry;
        }
    }
    json_open(&answer, NULL, '{');
    json_number(&answer, "re", c->number);
    if (entry) {
        entry->run(c, &answer);
    } else {
        json_error(&answer, "no such command", ERROR_INVALID_FUNCTION);
    }
    json_close(&answer, '}');
    append(&answer, "\n");
    emit(&answer);
    free(answer.text);
    if (strcmp(c->name, "exit") == 0) {
        ExitProcess((UINT)command_number(c, "code", 0));
    }
    free(c);
    return 0;
}

void actor_thread(LPTHREAD_START_ROUTINE run, void *argument)
{
    HANDLE thread = CreateThread(NULL, STACK_BYTES, run, argument, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (!thread) {
        abort();
    }
    CloseHandle(thread);
}

uint64_t actor_now_ms(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return (uint64_t)(now.QuadPart / (frequency.QuadPart / 1000));
}

static void start_command(const char *line)
{
    struct command *c = calloc(1, sizeof *c);
    if (!c) {
        abort();
    }
    strcpy(c->line, line);
    if (command_parse(c)) {
        actor_thread(run_command, c);
    } else {
        free(c);
    }
}

/* At the end of a file more may come; a pipe that has no writer any more is the end. */
static void serve(HANDLE input)
{
    static char line[COMMAND_LINE_MAX];
    char part[COMMAND_LINE_MAX];
    size_t length = 0;
    DWORD got;
    while (ReadFile(input, part, sizeof part, &got, NULL) || GetLastError() == ERROR_HANDLE_EOF) {
        if (got == 0) {
            Sleep(POLL_MS);
        }
        for (DWORD i = 0; i < got; i++) {
            if (part[i] != '\n' && length < sizeof line - 1) {
                line[length++] = part[i];
                continue;
            }
            line[length] = '\0';
            start_command(line);
            length = 0;
        }
    }
}

int actor_main(int argc, char **argv, const struct command_entry *table, const struct command_entry *extra)
{
    WSADATA winsock;
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    output = GetStdHandle(STD_OUTPUT_HANDLE);
    if (WSAStartup(MAKEWORD(2, 2), &winsock) != 0) {
        return 3;
    }
    if (argc == 3) {
        DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
        input = CreateFileA(argv[1], GENERIC_READ, share, NULL, OPEN_EXISTING, 0, NULL);
        output = CreateFileA(argv[2], FILE_APPEND_DATA, share, NULL, OPEN_ALWAYS, 0, NULL);
        if (input == INVALID_HANDLE_VALUE || output == INVALID_HANDLE_VALUE) {
            return 4;
        }
    }
    tables[0] = table;
    tables[1] = extra;
    struct json hello = {0};
    json_open(&hello, NULL, '{');
    json_number(&hello, "re", 0);
    json_number(&hello, "pid", GetCurrentProcessId());
    json_close(&hello, '}');
    append(&hello, "\n");
    emit(&hello);
    free(hello.text);
    serve(input);
    return 0;
}

/* ---- addresses */

const char *address_text(const struct sockaddr_storage *address, char out[ADDRESS_TEXT_MAX])
{
    char host[48] = "?", scope[12] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    bool six = address->ss_family == AF_INET6;
    inet_ntop(address->ss_family, six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, host, sizeof host);
    if (six && v6->sin6_scope_id) {
        snprintf(scope, sizeof scope, "%%%lu", (unsigned long)v6->sin6_scope_id);
    }
    snprintf(out, ADDRESS_TEXT_MAX, "%s%s/%u", host, scope, ntohs(six ? v6->sin6_port : v4->sin_port));
    return out;
}

bool address_parse(const char *text, struct sockaddr_storage *out)
{
    char host[48];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    u_short port = htons((u_short)(slash ? strtoul(slash + 1, NULL, 10) : 0));
    if (length >= sizeof host) {
        return false;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
        return true;
    }
    memset(out, 0, sizeof *out);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    char *scope = strchr(host, '%');
    if (scope) {
        *scope = '\0';
        v6->sin6_scope_id = strtoul(scope + 1, NULL, 10);
    }
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}
