/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A file of rules: any bytes.
 *
 * What must hold: it is read or mistakes are told, never both, each within the file; a rule that was read is one that
 * the library takes; and each of a line's texts lies in the copy.
 */
#include "fuzz.h"

#include "../cli/rules_file.h"

struct told {
    uint32_t count, lines;
};

static void note(void *context, uint32_t line, uint32_t column, const char *what)
{
    struct told *told = context;
    told->count++;
    MUST(line >= 1 && line <= told->lines && column >= 1 && *what);
}

static const char *check_url(void *context, const char *url)
{
    (void)context;
    MUST(*url);
    return *url == '!' ? "it is no proxy" : NULL;
}

static void check_rule(const struct rules_file *f, const redirector_rule *r, size_t size)
{
    const char *const texts[] = {r->pattern, r->listener, r->host};
    MUST(r->size == sizeof *r && r->action <= REDIRECTOR_RULE_BLOCK && r->direction <= REDIRECTOR_INCOMING);
    MUST(r->first_port <= r->last_port && r->last_port <= 65535 && (r->first_port || !r->last_port));
    MUST(r->prefix_length <= (r->family == 4 ? 32u : r->family == 6 ? 128u : 0u));
    MUST(!r->protocol || r->protocol == REDIRECTOR_TCP || r->protocol == REDIRECTOR_UDP);
    MUST(!r->pid || !r->pattern);
    MUST(r->upstream <= f->route_count);
    for (int i = 0; i < 3; i++) {
        MUST(!texts[i] ||
             (texts[i] >= f->texts && texts[i] <= f->texts + size && *texts[i] && strlen(texts[i]) <= 512));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rules_file file;
    struct told told = {.lines = 1};
    for (size_t i = 0; i < size; i++) {
        told.lines += data[i] == '\n';
    }
    char *text = (char *)exact_copy(data, size);
    const struct rules_file_reader reader = {&told, note, check_url};
    bool good = rules_file_read(text, size, &reader, &file);
    free(text);
    MUST(good == (told.count == 0));
    MUST(good || (!file.count && !file.texts));
    MUST(file.count <= RULES_FILE_RULES_MAX && file.route_count <= ROUTES_MAX);
    for (uint32_t i = 0; i < file.count; i++) {
        MUST(file.lines[i] >= 1 && file.lines[i] <= told.lines);
        check_rule(&file, &file.rules[i], size);
    }
    for (uint32_t i = 0; i < file.route_count; i++) {
        MUST(file.routes[i].way_count >= 1 && file.routes[i].way_count <= ROUTE_WAYS_MAX);
    }
    rules_file_free(&file);
    return 0;
}
