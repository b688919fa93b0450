/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the test programs have in common: they do what they are told, one command a line, and answer each with one line
 * of JSON.
 *
 *   7 connect id=3 to=10.77.0.2/7001   ->   {"re":7,"local":"10.77.0.1/49152","peer":"10.77.0.2/7001"}
 *
 * Each command runs in a thread of its own, so that one which blocks (accept, receive) keeps nobody waiting; the number
 * says which answer belongs to which command. A command that failed answers with "error" (what) and "code" (Windows').
 *
 * usage: PROGRAM [COMMANDS ANSWERS]   two files; without them standard input and output. The file of commands is
 * read as it grows: unlike a pipe it can be handed to a grandchild, and survives every process in between. Nothing is
 * ever written to standard output then, so that the harness can tell that nobody else does either.
 */
#ifndef ACTOR_H
#define ACTOR_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdbool.h>
#include <stdint.h>

enum { COMMAND_LINE_MAX = 4096, COMMAND_KEYS_MAX = 32 };

struct command {
    unsigned number;
    const char *name;
    int count;
    const char *keys[COMMAND_KEYS_MAX], *values[COMMAND_KEYS_MAX];
    char line[COMMAND_LINE_MAX];
};

const char *command_text(const struct command *c, const char *key, const char *fallback);
uint64_t command_number(const struct command *c, const char *key, uint64_t fallback);

/** JSON under construction. Every function adds a comma before what it adds where one is due. */
struct json {
    char *text;
    size_t length, room;
};

void json_open(struct json *j, const char *key, char bracket); /* key NULL: in an array; bracket '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */
void json_number(struct json *j, const char *key, long long value);
void json_string(struct json *j, const char *key, const char *value);
void json_error(struct json *j, const char *what, unsigned code);

struct command_entry {
    const char *name;
    void (*run)(const struct command *command, struct json *answer);
};

/** Serves commands until there are no more, or `exit`. The tables end with a NULL name; `extra` may be NULL. */
int actor_main(int argc, char **argv, const struct command_entry *table, const struct command_entry *extra);

/** Milliseconds of a clock that all programs of one machine share. */
uint64_t actor_now_ms(void);

/** Starts a thread that nobody waits for. */
void actor_thread(LPTHREAD_START_ROUTINE run, void *argument);

/** An address and port as text, "10.77.0.1/80", and back. */
enum { ADDRESS_TEXT_MAX = 64 };
const char *address_text(const struct sockaddr_storage *address, char out[ADDRESS_TEXT_MAX]);
bool address_parse(const char *text, struct sockaddr_storage *out); /* false: not an address */

#endif
