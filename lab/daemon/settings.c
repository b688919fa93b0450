/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the daemon keeps them, so that they outlast the kernel side, and tells them when
 * it comes and when they change.
 */
#include "settings.h"

#include <string.h>

#include "link.h"
#include "outbound.h"

enum { LISTS_MAX = 64 };

static struct lab_settings settings = {.head = {LAB_SETTINGS, sizeof(settings)}, .strict = 1};

static bool parse_switch(const char *word, uint32_t *value)
{
    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0) {
        return false;
    }
    *value = !strcmp(word, "on");
    return true;
}

static bool parse_lists(const char *word)
{
    unsigned lists;
    char rest;

    if (sscanf(word, "%3u%c", &lists, &rest) != 1 || lists > LISTS_MAX) {
        return false;
    }
    settings.lists = lists;
    return true;
}

static bool parse_largest(const char *word)
{
    unsigned largest;
    char rest;

    if (sscanf(word, "%5u%c", &largest, &rest) != 1) {
        return false;
    }
    settings.largest_in = largest;
    return true;
}

bool settings_command(const char *command)
{
    bool understood = (!strncmp(command, "strict ", 7) && parse_switch(command + 7, &settings.strict)) ||
                      (!strncmp(command, "fragments ", 10) && parse_switch(command + 10, &settings.fragments)) ||
                      (!strncmp(command, "lists ", 6) && parse_lists(command + 6)) ||
                      (!strncmp(command, "largest ", 8) && parse_largest(command + 8));

    if (understood) {
        settings_push();
    }
    return understood;
}

void settings_push(void)
{
    settings.firewall = outbound_blocks_injected();
    link_put(&settings, NULL, 0);
}

void settings_print(FILE *out)
{
    fprintf(out, "\"strict\":%s,\"lists\":%u,\"fragments\":%s,\"largest\":%u", settings.strict ? "true" : "false",
            settings.lists, settings.fragments ? "true" : "false", settings.largest_in);
}
