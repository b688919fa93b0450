/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Unit tests of what the kernel side tells: handles, counters and the audit say what happened, in whatever
 * order two threads tell it; and nothing that can be told brings the daemon down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ale.h"
#include "audit.h"
#include "capture.h"
#include "control.h"
#include "counters.h"
#include "drvfault.h"
#include "handles.h"
#include "held.h"
#include "inject.h"
#include "intake.h"
#include "records.h"

static struct batch batch;
static uint64_t told_token, touched;
static unsigned sent;

/* ------------------------------------------------------------------ the daemon's other parts */

void capture_verdict(uint64_t id, bool pass)
{
    struct held *held = held_find(id);

    (void)pass;
    if (held) {
        held_remove(held);
    }
}

bool capture_packet(uint64_t id, struct packet *packet)
{
    struct held *held = held_find(id);

    if (held) {
        held_parse(held, packet);
    }
    return held != NULL;
}

uint64_t capture_join(uint64_t key)
{
    struct held *held = held_find_key(key);

    if (!held) {
        return AUDIT_AGAIN;
    }
    held->joined = true;
    return held->id;
}

bool capture_was_joined(uint64_t id)
{
    struct held *held = held_find(id);

    return held && held->joined;
}

enum counter inject_send(const struct packet *packet, const struct lab_injected *injected)
{
    for (uint32_t i = 0; i < packet->length; i++) {
        touched += packet->data[i];
    }
    sent++;
    return injected->if_idx == 99 ? COUNT_unsent : COUNTERS;
}

void control_told(uint64_t token)
{
    told_token = token;
}

void control_unloaded(void)
{
    touched++;
}

void drvfault_struck(const struct lab_struck *struck)
{
    touched += struck->left;
}

void ale_answered(uint64_t ask, bool prevented)
{
    touched += ask + prevented;
}

void obstacle_opened(void)
{
    touched++;
}

void ale_handles_changed(bool socket_opened)
{
    touched += socket_opened;
}

/* ------------------------------------------------------------------ telling */

static void put(const void *record, const void *data, uint32_t length)
{
    assert_true(batch_add(&batch, record, data, length));
}

static void tell(void)
{
    uint8_t *message = malloc(batch.used);

    memcpy(message, batch.bytes, batch.used);
    intake_message(message, batch.used);
    free(message);
    batch.used = 0;
}

/* A segment whose sums are not looked at. */
static void segment(uint8_t data[40], uint8_t number)
{
    const uint8_t packet[40] = {
        0x45, 0,  0, 40, 0, 0,    0, 0,    64, 6, 0, 0, 10,     0,           0,
        1,    10, 0, 0,  2, 0x10, 0, 0x20, 0,  0, 0, 0, number, [32] = 0x50,
    };

    memcpy(data, packet, sizeof(packet));
}

static void put_opened(uint32_t handle, uint32_t layer, int32_t priority, uint64_t flags)
{
    struct lab_opened record = {
        .head = {LAB_OPENED, sizeof(record)},
        .handle = handle,
        .owner = 100,
        .layer = layer,
        .priority = priority,
        .flags = flags,
        .matches = WD_MATCH_OUTBOUND | WD_MATCH_IP,
    };

    put(&record, NULL, 0);
}

static void put_taken(uint32_t handle, uint64_t packet_id, const uint8_t *data)
{
    struct lab_taken record = {
        .head = {LAB_TAKEN, sizeof(record)}, .handle = handle, .packet_id = packet_id, .again = packet_id == 0};

    put(&record, data, packet_id ? 0 : 40);
}

static void put_received(uint32_t handle, const uint8_t *data)
{
    struct lab_received record = {.head = {LAB_RECEIVED, sizeof(record)}, .handle = handle, .whole = 1};
    struct wd_address address = {.outbound = 1, .ip_checksum = 1, .tcp_checksum = 1, .udp_checksum = 1};

    memcpy(record.address, &address, sizeof(address));
    put(&record, data, 40);
}

static void put_injected(uint32_t handle, enum lab_outcome outcome, const uint8_t *data)
{
    struct lab_injected record = {
        .head = {LAB_INJECTED, sizeof(record)},
        .handle = handle,
        .outcome = outcome,
        .outbound = 1,
        .claimed = LAB_IP_SUM_MISSING | LAB_TCP_SUM_MISSING | LAB_UDP_SUM_MISSING,
    };

    put(&record, data, 40);
}

static void put_given_back(uint32_t handle, const uint8_t *data)
{
    struct lab_injected record = {.head = {LAB_INJECTED, sizeof(record)}, .handle = handle, .outbound = 1, .again = 1};

    put(&record, data, 40);
}

static void put_state(uint32_t handle, uint64_t queued)
{
    struct lab_state record = {.head = {LAB_STATE, sizeof(record)}, .handle = handle, .queue_count = queued};

    put(&record, NULL, 0);
}

static void put_called(uint32_t handle, bool send)
{
    struct lab_called record = {.head = {LAB_CALLED, sizeof(record)}, .handle = handle, .send = send};

    put(&record, NULL, 0);
}

static void put_closed(uint32_t handle)
{
    struct lab_closed record = {.head = {LAB_CLOSED, sizeof(record)}, .handle = handle};

    put(&record, NULL, 0);
}

static uint64_t capture_one(const uint8_t *data)
{
    uint64_t id = audit_order_new();

    assert_non_null(held_add(id, data, 40));
    return id;
}

static void decide(uint64_t id)
{
    struct lab_verdict record = {.head = {LAB_VERDICT, sizeof(record)}, .packet_id = id};

    put(&record, NULL, 0);
}

/* A number of what is printed as JSON, the last of its name. */
static unsigned long long number_of(void (*print)(FILE *out), const char *name)
{
    char text[65536] = {0}, key[64];
    FILE *out = fmemopen(text, sizeof(text) - 1, "w");
    const char *at = NULL;

    print(out);
    fclose(out);
    snprintf(key, sizeof(key), "\"%s\":", name);
    for (const char *next = text; (next = strstr(next, key)) != NULL; next++) {
        at = next;
    }
    assert_non_null(at);
    return strtoull(at + strlen(key), NULL, 10);
}

static int nothing_open(void **state)
{
    (void)state;
    handles_forget();
    while (held_first()) {
        held_remove(held_first());
    }
    counters_reset();
    audit_reset();
    batch.used = 0;
    sent = 0;
    return 0;
}

/* ------------------------------------------------------------------ tests */

static void a_handle_is_known_while_it_is_open(void **state)
{
    (void)state;
    put_opened(3, WD_NETWORK, 0, 0);
    put_opened(4, WD_NETWORK, 5, 0);
    put_opened(5, WD_NETWORK, 5, 0);
    tell();
    assert_int_equal(handles_first()->number, 5);
    assert_int_equal(handles_first()->next->number, 4);
    assert_true(handles_want(LAB_OUTBOUND));
    assert_false(handles_want(0));
    assert_false(handles_want(LAB_OUTBOUND | LAB_IPV6));
    put_closed(5);
    put_closed(4);
    put(&(struct lab_shut){.head = {LAB_SHUT, sizeof(struct lab_shut)}, .handle = 3, .how = WD_SHUTDOWN_RECV}, NULL, 0);
    tell();
    assert_false(handles_want(LAB_OUTBOUND));
    assert_true(handles_find(3)->recv_shut);
    assert_false(handles_find(3)->send_shut);
}

static void what_is_sent_on_is_unchanged(void **state)
{
    uint8_t data[40];
    uint64_t id;

    (void)state;
    segment(data, 1);
    id = capture_one(data);
    put_opened(1, WD_NETWORK, 0, 0);
    put_taken(1, id, NULL);
    decide(id);
    put_received(1, data);
    put_injected(1, LAB_SENT, data);
    tell();
    assert_int_equal(sent, 1);
    assert_int_equal(number_of(handles_print_audit, "diverted"), 1);
    assert_int_equal(number_of(handles_print_audit, "received"), 1);
    assert_int_equal(number_of(handles_print_audit, "unchanged"), 1);
    assert_int_equal(number_of(handles_print_audit, "reordered"), 0);
    put_injected(1, LAB_SENT, data);
    data[20]++;
    put_injected(1, LAB_REFUSED, data);
    tell();
    assert_int_equal(number_of(handles_print_audit, "injected_twice"), 1);
    assert_int_equal(number_of(handles_print, "refused"), 1);
}

/* Of a handle that there is. */
static void calls_are_counted(void **state)
{
    (void)state;
    put_opened(1, WD_NETWORK, 0, 0);
    put_called(1, false);
    put_called(1, false);
    put_called(1, true);
    put_called(2, true);
    tell();
    assert_int_equal(number_of(handles_print, "receive_calls"), 2);
    assert_int_equal(number_of(handles_print, "send_calls"), 1);
    assert_int_equal(number_of(counters_print_total, "send_calls"), 1);
}

/* The second is sent on first, whichever thread told its part first. */
static void order_is_that_of_capture(void **state)
{
    for (int early = 0; early < 2; early++) {
        uint8_t first[40], second[40];
        uint64_t ids[2];

        nothing_open(state);
        segment(first, 1);
        segment(second, 2);
        ids[0] = capture_one(first);
        ids[1] = capture_one(second);
        put_opened(1, WD_NETWORK, 0, 0);
        put_taken(1, ids[0], NULL);
        if (early) {
            put_received(1, second);
        }
        put_taken(1, ids[1], NULL);
        decide(ids[0]);
        decide(ids[1]);
        put_received(1, first);
        if (!early) {
            put_received(1, second);
        }
        put_injected(1, LAB_SENT, second);
        put_injected(1, LAB_SENT, first);
        tell();
        assert_int_equal(number_of(handles_print_audit, "unchanged"), 2);
        assert_int_equal(number_of(handles_print_audit, "reordered"), 1);
    }
}

/* Through two handles, the lower of which may receive before it is told that the upper one has sent. */
static void order_is_kept_through_two_handles(void **state)
{
    for (int early = 0; early < 3; early++) {
        uint8_t data[2][40];
        uint64_t id;

        nothing_open(state);
        put_opened(1, WD_NETWORK, 1, 0);
        put_opened(2, WD_NETWORK, 0, 0);
        for (uint8_t i = 0; i < 2; i++) {
            segment(data[i], i);
            id = capture_one(data[i]);
            put_taken(1, id, NULL);
            decide(id);
            put_received(1, data[i]);
            put_taken(2, 0, data[i]);
            if (early) {
                put_received(2, data[i]);
            }
            if (early < 2) {
                put_injected(1, LAB_ABSORBED, data[i]);
            }
            if (!early) {
                put_received(2, data[i]);
            }
        }
        put_injected(2, LAB_SENT, data[1]);
        put_injected(2, LAB_SENT, data[0]);
        for (int i = 0; early == 2 && i < 2; i++) {
            put_injected(1, LAB_ABSORBED, data[i]);
        }
        tell();
        assert_int_equal(number_of(audit_print, "unchanged"), 0); /* of the closed ones */
        assert_int_equal(number_of(handles_print_audit, "unchanged"), 2);
        assert_int_equal(number_of(handles_print_audit, "reordered"), 1);
        assert_int_equal(number_of(handles_print_audit, "own"), 0);
    }
}

/*
 * What a program makes itself and another of its handles receives is its own at the one and received at the
 * other, whatever is told first.
 */
static void own_packets_are_received_below(void **state)
{
    for (int early = 0; early < 3; early++) {
        uint8_t data[40];

        nothing_open(state);
        put_opened(1, WD_NETWORK, 1, 0);
        put_opened(2, WD_NETWORK, 0, 0);
        for (uint8_t i = 0; i < 4; i++) {
            segment(data, i);
            if (!early) {
                put_injected(1, LAB_ABSORBED, data);
            }
            put_taken(2, 0, data);
            put_received(2, data);
            if (early == 1) {
                put_injected(1, LAB_ABSORBED, data);
            }
            put_injected(2, LAB_SENT, data);
            if (early == 2) {
                put_injected(1, LAB_ABSORBED, data);
            }
        }
        tell();
        assert_int_equal(number_of(handles_print_audit, "unchanged"), 4);
        assert_int_equal(number_of(handles_print_audit, "injected_twice"), 0);
        assert_int_equal(number_of(handles_print_audit, "reordered"), 0);
        put_closed(2);
        tell();
        assert_int_equal(number_of(handles_print_audit, "own"), 4);
        assert_int_equal(number_of(handles_print_audit, "injected_twice"), 0);
    }
}

/* Lost in the queue, then the same again: the one that was lost is not the one that is received. */
static void what_is_lost_is_not_joined(void **state)
{
    uint8_t same[40], between[40];
    uint64_t ids[3];

    (void)state;
    segment(same, 1);
    segment(between, 2);
    put_opened(1, WD_NETWORK, 0, 0);
    for (int i = 0; i < 3; i++) {
        ids[i] = capture_one(i == 1 ? between : same);
        put_taken(1, ids[i], NULL);
        decide(ids[i]);
    }
    put_received(1, between);
    put_injected(1, LAB_SENT, between);
    put_received(1, same);
    put_injected(1, LAB_SENT, same);
    put_state(1, 0);
    tell();
    assert_int_equal(number_of(handles_print_audit, "reordered"), 0);
    assert_int_equal(number_of(handles_print_audit, "lost_in_queue"), 1);
}

static void losses_are_what_is_missing(void **state)
{
    uint8_t data[40];

    (void)state;
    put_opened(1, WD_NETWORK, 0, 0);
    for (uint8_t i = 0; i < 5; i++) {
        uint64_t id;

        segment(data, i);
        id = capture_one(data);
        put_taken(1, id, NULL);
        decide(id);
    }
    put_received(1, data);
    put_state(1, 3);
    tell();
    assert_int_equal(number_of(handles_print, "lost_in_queue"), 1);
    assert_int_equal(number_of(handles_print_audit, "queued"), 3);
    assert_int_equal(number_of(counters_print_total, "lost_in_queue"), 1);
    counters_reset();
    handles_reset();
    put_state(1, 3);
    tell();
    assert_int_equal(number_of(handles_print, "lost_in_queue"), 0);
    put_given_back(1, data);
    put_given_back(1, data);
    put_closed(1);
    tell();
    assert_int_equal(sent, 2);
    assert_int_equal(number_of(counters_print_total, "reinjected"), 2);
    assert_int_equal(number_of(counters_print_total, "lost_in_queue"), 1);
}

static void sums_left_open_make_no_difference(void **state)
{
    struct wd_address address = {.outbound = 1, .ip_checksum = 1};
    struct audit_look look;
    uint8_t data[40];
    struct packet packet;

    (void)state;
    segment(data, 1);
    assert_true(packet_parse(&packet, data, sizeof(data)));
    look = audit_look(&packet, &address);
    data[36]++;
    assert_true(audit_look(&packet, &address).whole == look.whole);
    data[10]++;
    assert_false(audit_look(&packet, &address).whole == look.whole);
    assert_true(audit_look(&packet, &address).key == look.key);
    data[39]++;
    assert_false(audit_look(&packet, &address).key == look.key);
}

static void a_question_is_answered(void **state)
{
    (void)state;
    put(&(struct lab_query){{LAB_QUERY, sizeof(struct lab_query)}, 77}, NULL, 0);
    tell();
    assert_int_equal(told_token, 77);
}

static void numbers_that_make_no_sense_change_nothing(void **state)
{
    uint8_t data[40];

    (void)state;
    segment(data, 1);
    put_opened(LAB_HANDLES_MAX, WD_NETWORK, 0, 0);
    put_opened(1, WD_LAYERS, 0, 0);
    put_taken(1, 5, NULL);
    put_taken(UINT32_MAX, 0, data);
    put_received(UINT32_MAX, data);
    put_state(LAB_HANDLES_MAX, 1);
    put_closed(LAB_HANDLES_MAX);
    put_closed(1);
    decide(UINT64_MAX);
    tell();
    assert_null(handles_first());
    put_injected(LAB_HANDLES_MAX, LAB_SENT, data); /* the network wants it, whoever it is of */
    put_opened(1, WD_NETWORK, 0, 0);
    put_opened(1, WD_NETWORK, 0, 0);
    tell();
    assert_int_equal(sent, 1);
    assert_null(handles_first()->next);
}

/* Records of all types, of random contents and lengths that may lie, beside sensible ones. */
static void survives_anything(void **state)
{
    static const uint32_t types[] = {LAB_VERDICT, LAB_TAKEN,  LAB_RECEIVED, LAB_INJECTED, LAB_OPENED,
                                     LAB_SHUT,    LAB_CLOSED, LAB_STRUCK,   LAB_STATE,    LAB_VETO,
                                     LAB_LOG,     LAB_QUERY,  LAB_PACKET,   LAB_CALLED,   0xffff};
    int loud = dup(STDERR_FILENO), quiet = open("/dev/null", O_WRONLY);
    uint8_t data[40];

    (void)state;
    assert_true(loud >= 0 && quiet >= 0);
    srand(7);
    fflush(stderr);
    dup2(quiet, STDERR_FILENO); /* each lie is logged */
    for (int round = 0; round < 20000; round++) {
        uint32_t words[64];
        struct lab_head *head = (struct lab_head *)words;
        size_t length = 8 + (size_t)(rand() % (int)(sizeof(words) - 8)), left;
        uint8_t *message;

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            words[i] = rand() % 3 ? (uint32_t)(rand() % 8) : (uint32_t)rand() * 5u;
        }
        head->type = types[rand() % (int)(sizeof(types) / sizeof(types[0]))];
        head->size = rand() % 4 ? (uint32_t)length : (uint32_t)rand() % 300;
        segment(data, (uint8_t)(rand() % 4));
        left = length >= sizeof(data) + 32 ? length - sizeof(data) : 0;
        if (left && rand() % 2) {
            memcpy((uint8_t *)words + left, data, sizeof(data));
        }
        if (rand() % 4 == 0 && !held_enough()) {
            capture_one(data);
        }
        message = malloc(length);
        memcpy(message, words, length);
        intake_message(message, length);
        free(message);
    }
    dup2(loud, STDERR_FILENO);
    close(quiet);
    close(loud);
    number_of(counters_print_total, "captured");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, nothing_open)
    const struct CMUnitTest tests[] = {
        TEST(a_handle_is_known_while_it_is_open),
        TEST(what_is_sent_on_is_unchanged),
        TEST(calls_are_counted),
        TEST(order_is_that_of_capture),
        TEST(order_is_kept_through_two_handles),
        TEST(own_packets_are_received_below),
        TEST(what_is_lost_is_not_joined),
        TEST(losses_are_what_is_missing),
        TEST(sums_left_open_make_no_difference),
        TEST(a_question_is_answered),
        TEST(numbers_that_make_no_sense_change_nothing),
        TEST(survives_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
