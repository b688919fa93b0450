/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: an event is first lost or not, then doubled, then delayed. What is lost is
 * counted down, per kind and for any kind, so a script decides it and not chance. Late events wait
 * in one line: none overtakes another, also when the delay is made shorter meanwhile, unless they
 * are shuffled: then each is late by a time of its own. An event keeps the time at which it
 * happened, as the driver's timestamp does. An operation does not wait for the answer to an event that is
 * lost or late: it is allowed at once.
 */
#include "fault.h"

#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "loop.h"
#include "timer.h"

/* A kind is the event's number; "any" means those of sockets, since a flow's have a layer to themselves. */
enum { KINDS = 8, ANY_KIND = 0, FIRST_OF_SOCKETS = 3, DELAY_MAX = 600000 };

#define LOSE_ALL UINT64_MAX

static const char *const kinds[KINDS] = {"any",     "established", "deleted", "bind",
                                         "connect", "listen",      "accept",  "close"};

struct late {
    struct late *next;
    int64_t due_ms;
    struct sock_event event;
};

static struct {
    unsigned delay_ms;
    uint64_t lose[KINDS];
    bool doubled[KINDS];
    bool shuffled;
} script;

static struct late *first; /* by the time at which they are due */
static int64_t last_due;
static uint32_t chance = 1;
static int timer = -1;
static events_fn *deliver;
static void *deliver_context;

static void deliver_first(void)
{
    struct late *late = first;

    first = late->next;
    deliver(deliver_context, &late->event);
    free(late);
}

static void deliver_due(void *context, int fd)
{
    (void)context;
    timer_acknowledge(fd);
    while (first && first->due_ms <= loop_now_ms()) {
        deliver_first();
    }
    if (first) {
        timer_set(timer, first->due_ms);
    }
}

void fault_open(events_fn *fn, void *context)
{
    deliver = fn;
    deliver_context = context;
    timer = timer_open(deliver_due, NULL);
}

void fault_close(void)
{
    while (first) {
        struct late *late = first;

        first = late->next;
        free(late);
    }
    timer_close(timer);
}

static bool lose_one(int kind)
{
    if (!script.lose[kind]) {
        return false;
    }
    if (script.lose[kind] != LOSE_ALL) {
        script.lose[kind]--;
    }
    return true;
}

/* The same numbers in every run. */
static unsigned up_to(unsigned most)
{
    chance = chance * 1664525 + 1013904223;
    return (unsigned)((uint64_t)(chance >> 16) * (most + 1u) >> 16);
}

static int64_t due_ms(void)
{
    int64_t due;

    if (script.shuffled) {
        return loop_now_ms() + up_to(script.delay_ms);
    }
    due = loop_now_ms() + script.delay_ms;
    if (first && due < last_due) {
        due = last_due;
    }
    return last_due = due;
}

static void deliver_late(const struct sock_event *event)
{
    struct late *late = malloc(sizeof(*late)), **at = &first;

    if (!late) {
        fprintf(stderr, "windivert-labd: no memory to delay an event\n");
        exit(1);
    }
    late->event = *event;
    late->due_ms = due_ms();
    while (*at && (*at)->due_ms <= late->due_ms) {
        at = &(*at)->next;
    }
    late->next = *at;
    *at = late;
    timer_set(timer, first->due_ms);
    counters_add(NULL, COUNT_events_delayed, 1);
}

void fault_event(void *context, const struct sock_event *event)
{
    bool of_socket = event->event >= FIRST_OF_SOCKETS;
    int kind = event->event, times = 1;
    bool lost = lose_one(kind) || (of_socket && lose_one(ANY_KIND));
    struct sock_event timed = *event;

    (void)context;
    if (timed.ask && (lost || script.delay_ms || first)) {
        events_answer(timed.ask, false);
        timed.ask = 0;
    }
    if (lost) {
        counters_add(NULL, COUNT_events_lost, 1);
        return;
    }
    if (script.doubled[kind] || (of_socket && script.doubled[ANY_KIND])) {
        counters_add(NULL, COUNT_events_doubled, 1);
        times = 2;
    }
    timed.ticks = loop_ticks();
    while (times-- > 0) {
        if (script.delay_ms || first) {
            deliver_late(&timed);
        } else {
            deliver(deliver_context, &timed);
        }
        timed.ask = 0;
    }
}

static bool parse_kind(const char *word, int *kind)
{
    *kind = ANY_KIND;
    if (!word) {
        return true;
    }
    for (int i = ANY_KIND + 1; i < KINDS; i++) {
        if (!strcmp(word, kinds[i])) {
            *kind = i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *word, uint64_t max, uint64_t *number)
{
    char *rest;

    if (word[strspn(word, "0123456789")]) {
        return false;
    }
    *number = strtoull(word, &rest, 10);
    return rest != word && *number <= max;
}

/* Without a kind, "off" means every kind. */
static bool command_lose(const char *amount, const char *kind_word)
{
    uint64_t number;
    int kind;

    if (!parse_kind(kind_word, &kind)) {
        return false;
    }
    if (!strcmp(amount, "off")) {
        if (kind == ANY_KIND) {
            memset(script.lose, 0, sizeof(script.lose));
        }
        script.lose[kind] = 0;
        return true;
    }
    if (!strcmp(amount, "all")) {
        number = LOSE_ALL;
    } else if (!parse_number(amount, LOSE_ALL - 1, &number)) {
        return false;
    }
    script.lose[kind] = number;
    return true;
}

static bool command_double(const char *value, const char *kind_word)
{
    bool on = !strcmp(value, "on");
    int kind;

    if ((!on && strcmp(value, "off")) || !parse_kind(kind_word, &kind)) {
        return false;
    }
    if (!on && kind == ANY_KIND) {
        memset(script.doubled, 0, sizeof(script.doubled));
    }
    script.doubled[kind] = on;
    return true;
}

static bool command_shuffle(const char *value)
{
    script.shuffled = !strcmp(value, "on");
    return script.shuffled || !strcmp(value, "off");
}

static bool command_delay(const char *value)
{
    uint64_t number;

    if (!parse_number(value, DELAY_MAX, &number)) {
        return false;
    }
    script.delay_ms = (unsigned)number;
    return true;
}

/* Everything as if nothing had been scripted; what is late comes now. */
static void command_reset(void)
{
    memset(&script, 0, sizeof(script));
    while (first) {
        deliver_first();
    }
    timer_cancel(timer);
}

bool fault_command(const char *words)
{
    char name[8], value[24], kind[12], rest;
    int count = sscanf(words, "%7s %23s %11s %c", name, value, kind, &rest);

    if (count == 1 && !strcmp(name, "reset")) {
        command_reset();
        return true;
    }
    if (count == 2 && !strcmp(name, "delay")) {
        return command_delay(value);
    }
    if (count == 2 && !strcmp(name, "shuffle")) {
        return command_shuffle(value);
    }
    if (count != 2 && count != 3) {
        return false;
    }
    if (!strcmp(name, "lose")) {
        return command_lose(value, count == 3 ? kind : NULL);
    }
    if (!strcmp(name, "double")) {
        return command_double(value, count == 3 ? kind : NULL);
    }
    return false;
}

void fault_print(FILE *out)
{
    unsigned waiting = 0;

    for (const struct late *late = first; late; late = late->next) {
        waiting++;
    }
    fprintf(out, "{\"delay_ms\":%u,\"shuffle\":%s,\"waiting\":%u,\"lose\":{", script.delay_ms,
            script.shuffled ? "true" : "false", waiting);
    for (int i = 0; i < KINDS; i++) {
        fprintf(out, "%s\"%s\":", i ? "," : "", kinds[i]);
        if (script.lose[i] == LOSE_ALL) {
            fputs("\"all\"", out);
        } else {
            fprintf(out, "%llu", (unsigned long long)script.lose[i]);
        }
    }
    fputs("},\"double\":{", out);
    for (int i = 0; i < KINDS; i++) {
        fprintf(out, "%s\"%s\":%s", i ? "," : "", kinds[i], script.doubled[i] ? "true" : "false");
    }
    fputs("}}", out);
}
