/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one slot for each fault holds its script: the value, how often it is still to
 * strike and at which layer. The kernel side has the same script and strikes that often; it tells so each
 * time. So a script, not chance, decides, and a fault's count says whether a test has met what it scripted.
 *
 * A Windows error code is made an NTSTATUS of facility 1, which Wine and Windows translate back to
 * just that code; an NTSTATUS of one's own is written in hexadecimal.
 */
#include "drvfault.h"

#include <stdlib.h>
#include <string.h>

#include "link.h"

enum value_kind { VALUE_NONE, VALUE_CODE, VALUE_MS, VALUE_COUNT, VALUE_PID };
enum times { ONCE, ALWAYS, NOW };
enum { ANY_LAYER = WD_LAYERS, WORDS_MAX = 6, MS_MAX = 600000 };

#define FOR_EVER UINT64_MAX
#define STATUS_OF_WINDOWS_CODE 0xc0010000u
#define NO_SUCH_PROCESS 0x3ffffffcu /* a multiple of 4, as pids are; Wine gives none so high */

static const struct {
    const char *name;
    enum value_kind value;
    enum times times;
} kinds[] = {
#define X(id, name, value, times) {name, value, times},
    DRVFAULT_LIST(X)
#undef X
};

static const char *const layers[] = {"network", "forward", "flow", "socket", "reflect", "any"};

static struct slot {
    uint32_t value;
    uint32_t layer; /* ANY_LAYER: all */
    uint64_t left;  /* 0: not scripted */
    uint64_t struck;
} slots[DRVFAULTS];

static bool unloading;

static void push(enum drvfault fault)
{
    const struct slot *slot = &slots[fault];
    struct lab_fault record = {
        .head = {LAB_FAULT, sizeof(record)},
        .fault = fault,
        .layer = slot->layer,
        .left = slot->left,
        .value = slot->value,
    };

    if (fault != DRVFAULT_PID && fault != DRVFAULT_UNLOAD) {
        link_put(&record, NULL, 0);
    }
}

void drvfault_push(void)
{
    for (int fault = 0; fault < DRVFAULTS; fault++) {
        push((enum drvfault)fault);
    }
}

void drvfault_struck(const struct lab_struck *struck)
{
    if (struck->fault >= DRVFAULTS) {
        return;
    }
    slots[struck->fault].struck += struck->times;
    if (struck->fault == DRVFAULT_UNLOAD) {
        unloading = false;
    }
    if (struck->fault != DRVFAULT_PID && struck->fault != DRVFAULT_UNLOAD) {
        slots[struck->fault].left = struck->left;
    }
}

bool drvfault_unloading(void)
{
    return unloading;
}

void drvfault_lost(void)
{
    unloading = false;
}

bool drvfault_strikes_pid(uint32_t layer, uint32_t *pid)
{
    struct slot *slot = &slots[DRVFAULT_PID];

    if (!slot->left || (slot->layer != ANY_LAYER && slot->layer != layer)) {
        return false;
    }
    if (slot->left != FOR_EVER) {
        slot->left--;
    }
    slot->struck++;
    *pid = slot->value;
    return true;
}

static bool parse_number(const char *word, uint64_t max, uint64_t *number)
{
    if (!*word || word[strspn(word, "0123456789")]) {
        return false;
    }
    *number = strtoull(word, NULL, 10);
    return *number <= max;
}

static bool parse_status(const char *word, uint32_t *status)
{
    uint64_t code;
    char *end;

    if (!strncmp(word, "0x", 2)) {
        *status = (uint32_t)strtoul(word, &end, 16);
        return !*end && *status & 0x80000000u; /* errors only */
    }
    if (!parse_number(word, UINT16_MAX, &code) || !code) {
        return false;
    }
    *status = STATUS_OF_WINDOWS_CODE | (uint32_t)code;
    return true;
}

static bool parse_value(enum value_kind kind, const char *word, uint32_t *value)
{
    uint64_t number = 0;
    bool good;

    switch (kind) {
    case VALUE_CODE:
        return parse_status(word, value);
    case VALUE_MS:
        good = parse_number(word, MS_MAX, &number);
        break;
    case VALUE_COUNT:
        good = parse_number(word, UINT32_MAX, &number) && number > 0;
        break;
    default: /* a process */
        if (!strcmp(word, "dead")) {
            *value = NO_SUCH_PROCESS;
            return true;
        }
        good = parse_number(word, UINT32_MAX, &number);
    }
    *value = (uint32_t)number;
    return good;
}

static bool parse_times(const char *word, uint64_t *times)
{
    if (!strcmp(word, "all")) {
        *times = FOR_EVER;
        return true;
    }
    return parse_number(word, FOR_EVER - 1, times) && *times > 0;
}

static bool parse_layer(const char *word, uint32_t *layer)
{
    for (*layer = 0; *layer < WD_LAYERS; ++*layer) {
        if (!strcmp(word, layers[*layer])) {
            return true;
        }
    }
    return false;
}

/* KIND [VALUE] [TIMES|all] [on LAYER] */
static bool script(enum drvfault fault, char **words, int count)
{
    struct slot wanted = {.layer = ANY_LAYER, .left = kinds[fault].times == ALWAYS ? FOR_EVER : 1};
    int at = 0;

    if (kinds[fault].times == NOW) {
        if (count > 0) {
            return false;
        }
        unloading = link_connected();
        link_put(&(struct lab_head){LAB_UNLOAD, sizeof(struct lab_head)}, NULL, 0);
        return true;
    }
    if (kinds[fault].value != VALUE_NONE) {
        if (at == count || !parse_value(kinds[fault].value, words[at++], &wanted.value)) {
            return false;
        }
    }
    if (at < count && strcmp(words[at], "on") != 0 && !parse_times(words[at++], &wanted.left)) {
        return false;
    }
    if (at < count && (at + 2 != count || strcmp(words[at], "on") != 0 || !parse_layer(words[at + 1], &wanted.layer))) {
        return false;
    }
    link_drain(); /* what the script before has done */
    wanted.struck = slots[fault].struck;
    slots[fault] = wanted;
    push(fault);
    return true;
}

static bool clear(char **words, int count)
{
    bool known = count == 0;

    link_drain();
    for (int fault = 0; fault < DRVFAULTS; fault++) {
        if (count == 1 && strcmp(words[0], kinds[fault].name) != 0) {
            continue;
        }
        known = true;
        slots[fault].left = 0;
        push((enum drvfault)fault);
    }
    return known && count <= 1;
}

bool drvfault_command(const char *text)
{
    char copy[128], *words[WORDS_MAX], *rest = copy;
    bool understood = false;
    int count = 0;

    if (strlen(text) >= sizeof(copy)) {
        return false;
    }
    strcpy(copy, text);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (!*word) {
            continue;
        }
        if (count == WORDS_MAX) {
            return false;
        }
        words[count++] = word;
    }
    if (count == 0) {
        return false;
    }
    if (!strcmp(words[0], "clear")) {
        understood = clear(words + 1, count - 1);
    }
    for (int fault = 0; fault < DRVFAULTS; fault++) {
        if (!strcmp(words[0], kinds[fault].name)) {
            understood = script((enum drvfault)fault, words + 1, count - 1);
        }
    }
    return understood;
}

void drvfault_reset_counts(void)
{
    for (int fault = 0; fault < DRVFAULTS; fault++) {
        slots[fault].struck = 0;
    }
}

void drvfault_print(FILE *out)
{
    for (int fault = 0; fault < DRVFAULTS; fault++) {
        const struct slot *slot = &slots[fault];

        fprintf(out, "%s\"%s\":{\"struck\":%llu,\"left\":", fault ? "," : "{", kinds[fault].name,
                (unsigned long long)slot->struck);
        if (slot->left == FOR_EVER) {
            fputs("\"all\"", out);
        } else {
            fprintf(out, "%llu", (unsigned long long)slot->left);
        }
        if (slot->left && kinds[fault].value == VALUE_CODE) {
            fprintf(out, ",\"value\":\"0x%08x\"", slot->value);
        } else if (slot->left && kinds[fault].value != VALUE_NONE) {
            fprintf(out, ",\"value\":%u", slot->value);
        }
        if (slot->left && slot->layer != ANY_LAYER) {
            fprintf(out, ",\"on\":\"%s\"", layers[slot->layer]);
        }
        fputc('}', out);
    }
    fputc('}', out);
}
