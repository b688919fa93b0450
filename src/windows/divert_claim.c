/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the driver's REFLECT layer tells of each handle that is open, and then of each that opens or
 * closes, in this order; with its process, priority and filter. A redirector is known by the filter of the handle that it
 * sends with, its tag, which has in its numbers what others have to know.
 *
 * A tag is `inbound and outbound and timestamp == -A and timestamp == -B ...`: no packet has both directions, so the
 * driver looks at none for it; and the compiler of filters leaves the numbers as they are, which it does not do behind
 * `false`. Each number is MAGIC, what it says, and 32 bits of that.
 */
#include "windows/divert_claim.h"
#include "windows/divert_internal.h"
#include "windows/shared_thread.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a tag says. */
struct tag {
    uint32_t number;     /* of the claim: random */
    uint32_t root_count; /* 0: not told, because they are too many */
    uint32_t roots[DIVERT_TAG_ROOTS_MAX];
};

/* An open packet handle. */
struct user {
    int64_t opened; /* when, by the driver's clock */
    uint32_t pid;
    uint32_t order; /* events are numbered as they come */
    int16_t priority;
    struct tag tag; /* a redirector's sending handle: the claim's. Else its number is 0 */
};

struct users {
    struct divert_ring *ring;
    uint32_t order;
    uint32_t count;
    struct user all[DIVERT_USERS_MAX];
};

enum { REFLECT_OPEN = 8, REFLECT_CLOSE = 9 };
enum { SAYS_NUMBER = 1, SAYS_ROOT = 2, SAYS_SHIFT = 32, MAGIC_SHIFT = 40 };

static const uint64_t MAGIC = 0x5744; /* "WD" */
static const char HEAD[] = "inbound and outbound";

/* ---- tags */

static int write_number(char *at, size_t room, unsigned says, uint32_t value)
{
    uint64_t number = MAGIC << MAGIC_SHIFT | (uint64_t)says << SAYS_SHIFT | value;
    return snprintf(at, room, " and timestamp == -%llu", (unsigned long long)number);
}

static void write_tag(const struct tag *tag, char out[DIVERT_TAG_MAX])
{
    int length = snprintf(out, DIVERT_TAG_MAX, "%s", HEAD);
    length += write_number(out + length, (size_t)(DIVERT_TAG_MAX - length), SAYS_NUMBER, tag->number);
    for (uint32_t i = 0; i < tag->root_count; i++) {
        length += write_number(out + length, (size_t)(DIVERT_TAG_MAX - length), SAYS_ROOT, tag->roots[i]);
    }
    assert(length < DIVERT_TAG_MAX);
}
static_assert(sizeof HEAD + (size_t)42 * (DIVERT_TAG_ROOTS_MAX + 1) <= DIVERT_TAG_MAX,
              "a number and its words take 42 characters");
static_assert(DIVERT_TAG_ROOTS_MAX + 3 <= 255, "the driver takes 255 tests");

static bool read_tag(const struct divert_api *api, const char *filter, struct tag *out)
{
    static const char WORD[] = " and timestamp = -"; /* the DLL's way to write it */
    char text[DIVERT_TAG_MAX];
    *out = (struct tag){0};
    if (!api->format_filter(filter, DIVERT_LAYER_NETWORK, text, sizeof text) ||
        strncmp(text, HEAD, sizeof HEAD - 1) != 0) {
        return false;
    }
    const char *at = text + sizeof HEAD - 1;
    while (strncmp(at, WORD, sizeof WORD - 1) == 0) {
        char *end;
        uint64_t number = strtoull(at + sizeof WORD - 1, &end, 10);
        uint32_t says = (uint32_t)(number >> SAYS_SHIFT & 0xff), value = (uint32_t)number;
        if (number >> MAGIC_SHIFT != MAGIC || (says == SAYS_NUMBER) != !out->number ||
            (says == SAYS_ROOT && out->root_count == DIVERT_TAG_ROOTS_MAX)) {
            return false;
        }
        if (says == SAYS_NUMBER) {
            out->number = value;
        } else if (says == SAYS_ROOT) {
            out->roots[out->root_count++] = value;
        }
        at = end;
    }
    return *at == '\0' && out->number;
}

/* ---- handles */

static bool open_users(struct users *users, struct divert_api *api)
{
    redirector_error error = {.size = sizeof error};
    users->ring = divert_open(api, "true", DIVERT_LAYER_REFLECT, 0, &error);
    return users->ring;
}

static void opened(struct users *users, const struct divert_api *api, const struct divert_address *a,
                   const char *filter)
{
    struct user user = {
        .opened = a->reflect.timestamp,
        .pid = a->reflect.process_id,
        .order = users->order,
        .priority = a->reflect.priority,
    };
    if (!read_tag(api, filter, &user.tag)) {
        user.tag.number = 0;
    }
    if (users->count < DIVERT_USERS_MAX) {
        users->all[users->count] = user;
    }
    users->count++; /* beyond the most: not all is known any more */
}

static void closed(struct users *users, const struct divert_address *a)
{
    for (uint32_t i = 0; i < users->count && i < DIVERT_USERS_MAX; i++) {
        const struct user *user = &users->all[i];
        if (user->opened == a->reflect.timestamp && user->pid == a->reflect.process_id &&
            user->priority == a->reflect.priority) {
            memmove(&users->all[i], &users->all[i + 1], (users->count - i - 1) * sizeof *users->all);
            users->count--;
            return;
        }
    }
}

static void take(struct users *users, const struct divert_api *api, const struct divert_batch *batch)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->count && at < batch->bytes && users->count <= DIVERT_USERS_MAX; i++) {
        const struct divert_address *a = &batch->addresses[i];
        const char *filter = (const char *)batch->data + at;
        const char *end = memchr(filter, '\0', batch->bytes - at);
        if (!end) {
            users->count = DIVERT_USERS_MAX + 1; /* cut off: what follows cannot be told apart */
            return;
        }
        at += (uint32_t)(end - filter) + 1;
        users->order++;
        if (a->reflect.layer == DIVERT_LAYER_NETWORK && a->event == REFLECT_OPEN) {
            opened(users, api, a, filter);
        } else if (a->reflect.layer == DIVERT_LAYER_NETWORK && a->event == REFLECT_CLOSE) {
            closed(users, a);
        }
    }
}

/* NULL: it was not told of, or not all is known. */
static const struct user *find(const struct users *users, uint32_t number)
{
    for (uint32_t i = 0; i < users->count && users->count <= DIVERT_USERS_MAX; i++) {
        if (users->all[i].tag.number == number && users->all[i].pid == GetCurrentProcessId()) {
            return &users->all[i];
        }
    }
    return NULL;
}

/*
 * Until the handle of this process with this number has been told of: what is told of before it was open before it. NULL:
 * it was not told of within DIVERT_USERS_READ_MS, or there are more handles than DIVERT_USERS_MAX.
 */
static const struct user *find_claim(struct users *users, const struct divert_api *api, uint32_t number)
{
    ULONGLONG now = GetTickCount64(), deadline = now + DIVERT_USERS_READ_MS;
    const struct user *found = NULL;
    while (users->count <= DIVERT_USERS_MAX && !(found = find(users, number)) && now < deadline) {
        struct divert_batch batch;
        uint32_t os_error;
        enum divert_result result = divert_next(users->ring, &batch, &os_error);
        if (result == DIVERT_BATCH) {
            take(users, api, &batch);
            divert_recycle(users->ring);
        } else if (result == DIVERT_NOTHING) {
            WaitForSingleObject(divert_wait_handle(users->ring), (DWORD)(deadline - now));
        } else {
            return NULL;
        }
        now = GetTickCount64();
    }
    return found;
}

/* Each attempt after the first follows what others did meanwhile. */
enum { ATTEMPTS = 16 };

enum { LEAVE_WAIT_MS = 1000 };

/* ---- who is inner */

static bool is_root(const struct divert_claim_tree *tree, uint32_t pid)
{
    for (uint32_t i = 0; i < tree->root_count; i++) {
        if (tree->roots[i].pid == pid) {
            return true;
        }
    }
    return false;
}

static bool is_inner(const struct divert_claim_tree *tree, const struct user *user)
{
    const struct tag *tag = &user->tag;
    bool roots_inside = tag->root_count > 0;
    for (uint32_t i = 0; i < tag->root_count && roots_inside; i++) {
        roots_inside = !is_root(tree, tag->roots[i]) && tree->has(tree->context, tag->roots[i]);
    }
    bool other_process = user->pid != GetCurrentProcessId();
    return roots_inside || (other_process && tree->has(tree->context, user->pid));
}

/* ---- which band */

/* What stands at the driver, as of the moment when our own claim was opened. */
struct scene {
    const struct users *users;
    const struct user *mine;
    int highest, lowest_inner; /* bands of redirectors */
    uint32_t others, inner_pid;
};

/* Whether it was there before. Our own earlier claims, of which nothing but the end may be missing, do not count. */
static bool counts(const struct scene *s, const struct user *user)
{
    bool ours = user->pid == s->mine->pid && user->tag.number >> 8 == s->mine->tag.number >> 8;
    return user->order < s->mine->order && !ours;
}

static struct scene look(const struct users *users, const struct user *mine, const struct divert_claim_tree *tree)
{
    struct scene s = {.users = users, .mine = mine, .highest = INT_MIN, .lowest_inner = INT_MAX};
    for (uint32_t i = 0; i < users->count; i++) {
        const struct user *user = &users->all[i];
        if (!user->tag.number || !counts(&s, user)) {
            continue;
        }
        s.others++;
        if (user->priority < s.lowest_inner && is_inner(tree, user)) {
            s.lowest_inner = user->priority;
            s.inner_pid = user->pid;
        }
        s.highest = user->priority > s.highest ? user->priority : s.highest;
    }
    return s;
}

static bool is_free(const struct scene *s, int band)
{
    for (uint32_t i = 0; i < s->users->count; i++) {
        int priority = s->users->all[i].priority;
        if (priority >= band && priority < band + DIVERT_BAND_SIZE && counts(s, &s->users->all[i])) {
            return false;
        }
    }
    return true;
}

/* Whether the order of the bands is as it should be. */
static bool is_in_order(const struct scene *s, int band)
{
    return s->inner_pid ? band < s->lowest_inner : band > s->highest;
}

/* The nearest free band from there on; 0: there is none. */
static int nearest(const struct scene *s, int from, int step)
{
    int band = from;
    while (band >= DIVERT_BAND_LOWEST && band <= DIVERT_BAND_HIGHEST && !is_free(s, band)) {
        band += step;
    }
    return band >= DIVERT_BAND_LOWEST && band <= DIVERT_BAND_HIGHEST ? band : 0;
}

static int best(const struct scene *s)
{
    int band, step = DIVERT_BAND_SIZE;
    if (s->inner_pid) {
        band = nearest(s, s->lowest_inner - step, -step);
        return band ? band : nearest(s, DIVERT_BAND_LOWEST, step);
    }
    band = nearest(s, s->others && s->highest >= DIVERT_BAND_USUAL ? s->highest + step : DIVERT_BAND_USUAL, step);
    return band ? band : nearest(s, DIVERT_BAND_HIGHEST, -step);
}

/* ---- claiming */

static struct divert_ring *open_sender(struct divert_api *api, const struct tag *tag, int band, redirector_error *error)
{
    char filter[DIVERT_TAG_MAX];
    write_tag(tag, filter);
    return divert_open_sender(api, filter, (int16_t)band, error);
}

static struct tag make_tag(const void *unique, const struct process_id *roots, uint32_t root_count)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    uint32_t random = (uint32_t)((uint64_t)now.QuadPart * 0x9e3779b97f4a7c15 >> 32) ^ (uint32_t)(uintptr_t)unique;
    struct tag tag = {.number = random << 8 | 1};
    for (uint32_t i = 0; i < root_count && root_count <= DIVERT_TAG_ROOTS_MAX; i++) {
        tag.roots[tag.root_count++] = roots[i].pid;
    }
    return tag;
}

struct divert_claiming {
    struct divert_api *api;
    struct tag tag;
    struct users users;
    struct divert_ring *sender;
    redirector_error error; /* of the sender */
    HANDLE opened, done;    /* each belongs to one side until the other has set its event */
    struct shared_thread thread;
};

/*
 * Moves from band to band until nobody was there before. out->sender is open, in the usual band, and its own thread has waited
 * until it was told of.
 */
static enum divert_claim_result settle(struct divert_claiming *c, const struct divert_claim_tree *tree,
                                       struct divert_claim *out, redirector_error *error)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        const struct user *mine = i ? find_claim(&c->users, c->api, c->tag.number) : find(&c->users, c->tag.number);
        if (!mine) {
            return DIVERT_CLAIM_UNKNOWN;
        }
        struct scene scene = look(&c->users, mine, tree);
        int band = is_free(&scene, out->band) && (i > 0 || is_in_order(&scene, out->band)) ? out->band : best(&scene);
        out->others = scene.others;
        out->inner_pid = scene.inner_pid;
        if (!band) {
            return DIVERT_CLAIM_NO_ROOM;
        }
        if (band == out->band) {
            return DIVERT_CLAIM_OWN;
        }
        divert_close(out->sender);
        c->tag.number++;
        out->band = (int16_t)band;
        out->sender = open_sender(c->api, &c->tag, band, error);
        if (!out->sender) {
            return DIVERT_CLAIM_FAILED;
        }
    }
    return DIVERT_CLAIM_NO_ROOM;
}

static void claiming_free(void *claiming)
{
    struct divert_claiming *c = claiming;
    divert_close(c->sender);
    shared_thread_close_event(c->opened);
    shared_thread_close_event(c->done);
    divert_unload(c->api);
    free(c);
}

/*
 * Stays until all is done: what it has requested of the driver would end with it. And closing takes a while, for which
 * nobody needs to wait.
 */
static void claiming_run(void *claiming)
{
    struct divert_claiming *c = claiming;
    open_users(&c->users, c->api); /* before the claim, so that the claim is told of after what was there */
    c->sender = open_sender(c->api, &c->tag, DIVERT_BAND_USUAL, &c->error);
    if (c->users.ring && c->sender) {
        find_claim(&c->users, c->api, c->tag.number); /* begun early: mostly nothing is left to be waited for */
    }
    SetEvent(c->opened);
    WaitForSingleObject(c->done, INFINITE);
    divert_close(c->users.ring);
    c->users.ring = NULL;
}

struct divert_claiming *divert_claim_begin(struct divert_api *api, const struct process_id *roots, uint32_t root_count)
{
    struct divert_claiming *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->api = divert_retain(api);
    c->tag = make_tag(c, roots, root_count);
    c->error.size = sizeof c->error;
    c->opened = CreateEventW(NULL, TRUE, FALSE, NULL);
    c->done = CreateEventW(NULL, TRUE, FALSE, NULL);
    bool ready = c->opened && c->done;
    return shared_thread_start(&c->thread, ready, THREAD_PRIORITY_NORMAL, c, claiming_run, claiming_free) ? c : NULL;
}

enum divert_claim_result divert_claim_end(struct divert_claiming *c, const struct divert_claim_tree *tree,
                                          struct divert_claim *out, redirector_error *error)
{
    enum divert_claim_result result = DIVERT_CLAIM_FAILED;
    *out = (struct divert_claim){.band = DIVERT_BAND_USUAL};
    if (!c) {
        error_set(error, REDIRECTOR_NO_MEMORY, 0, NULL);
        return result;
    }
    WaitForSingleObject(c->opened, INFINITE);
    out->sender = c->sender;
    c->sender = NULL;
    if (!out->sender) {
        *error = c->error;
    } else if (!c->users.ring) {
        result = DIVERT_CLAIM_UNKNOWN;
    } else {
        result = settle(c, tree, out, error);
    }
    SetEvent(c->done);
    shared_thread_leave(&c->thread, 0);
    return result;
}

void divert_claim_leave(struct divert_claiming *c)
{
    if (c) {
        SetEvent(c->done);
        shared_thread_leave(&c->thread, LEAVE_WAIT_MS);
    }
}
