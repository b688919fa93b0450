/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The server's name from a QUIC client's first datagrams: however the ClientHello is cut and shuffled, coalesced with
 * other packets, repeated, or forged; and that no byte behind a datagram is looked at.
 */
#include "quic_packets.h"

#include "../../cli/host_name.h"

/* ---- a flow */

static struct guarded guard;

static bool give(struct quic_initial *flow, const struct bytes *datagram, char name[HOST_NAME_MAX_BYTES])
{
    const uint8_t *at = guarded_put(&guard, datagram->at, datagram->size);
    memset(name, 0, HOST_NAME_MAX_BYTES);
    return quic_initial_server_name(at, datagram->size, flow, name, HOST_NAME_MAX_BYTES);
}

static void expect_name(struct quic_initial *flow, const struct bytes *datagram, const char *expected)
{
    char name[HOST_NAME_MAX_BYTES];
    assert_int_equal(give(flow, datagram, name), expected != NULL);
    assert_string_equal(name, expected ? expected : "");
}

static struct quic_initial *flow_new(void)
{
    struct quic_initial *flow = quic_initial_new(&toy_crypto);
    assert_non_null(flow);
    assert_false(quic_initial_done(flow));
    return flow;
}

/* The datagrams of a flow: no name before the last of them, and then this one. */
static void expect_last(const struct bytes *datagrams, size_t count, const char *name)
{
    struct quic_initial *flow = flow_new();
    for (size_t i = 0; i < count; i++) {
        assert_false(quic_initial_done(flow));
        expect_name(flow, &datagrams[i], i + 1 < count ? NULL : name);
    }
    assert_int_equal(quic_initial_done(flow), name != NULL);
    quic_initial_free(flow);
}

static struct bytes whole(const char *name)
{
    struct bytes frames = {.size = 0}, hello = hello_of(name, 100);
    add_crypto(&frames, &hello, 0, hello.size);
    return frames;
}

/* ---- the tests */

static void a_name_in_one_datagram_is_found(void **state)
{
    (void)state;
    static const uint32_t versions[] = {VERSION_1, VERSION_2};
    struct bytes frames = whole("www.example.org");
    for (int i = 0; i < 2; i++) {
        for (uint32_t bytes = 1; bytes <= 4; bytes++) {
            struct sent m = {
                .version = versions[i], .number = 200, .number_bytes = bytes, .key_id = "20 bytes, the longest"};
            m.key_id += 1;
            struct bytes datagram = datagram_of(m, &frames);
            m.number = bytes == 1 ? 100 : 200; /* from one byte, the nearest to 0 */
            datagram = datagram_of(m, &frames);
            expect_last(&datagram, 1, "www.example.org");
            m.version = 3; /* nobody's */
            datagram = datagram_of(m, &frames);
            expect_last(&datagram, 1, NULL);
        }
    }
}

static void every_cut_of_a_hello_is_put_together(void **state)
{
    (void)state;
    struct bytes hello = hello_of("cut.example.org", 20);
    for (uint32_t cut = 0; cut <= hello.size; cut++) {
        struct bytes frames = {.size = 0}, parts[2] = {{.size = 0}, {.size = 0}}, datagrams[2];
        add_crypto(&parts[0], &hello, 0, cut);
        add_crypto(&parts[1], &hello, cut, hello.size);
        add(&frames, parts[1].at, parts[1].size); /* the second before the first, in one packet */
        add_number(&frames, PADDING, 2);
        add_number(&frames, PING, 1);
        add(&frames, parts[0].at, parts[0].size);
        datagrams[0] = datagram_of(first, &frames);
        expect_last(datagrams, 1, "cut.example.org");
        if (cut > 0 && cut < hello.size) { /* in two datagrams, in both orders */
            struct sent second = first;
            second.number = 1;
            datagrams[0] = datagram_of(first, &parts[1]);
            datagrams[1] = datagram_of(second, &parts[0]);
            expect_last(datagrams, 2, "cut.example.org");
        }
    }
}

static void a_shuffled_hello_of_two_datagrams_is_put_together(void **state)
{
    (void)state;
    struct rng r = rng_seeded(7);
    struct bytes hello = hello_of("shuffled.example.org", 1700); /* a key of post-quantum size */
    for (int round = 0; round < 200; round++) {
        struct quic_initial *flow = flow_new();
        uint32_t order[32], count = (hello.size + 59) / 60;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = (uint32_t)(rng_next(&r) % (i + 1));
            order[i] = order[k];
            order[k] = i;
        }
        bool found = false;
        for (uint32_t i = 0; i < count; i += 8) {
            char name[HOST_NAME_MAX_BYTES];
            struct sent m = first;
            struct bytes frames = {.size = 0}, datagram;
            m.number = i;
            for (uint32_t k = i; k < count && k < i + 8; k++) {
                add_number(&frames, PADDING, 1 + (uint32_t)(rng_next(&r) % 8));
                add_crypto(&frames, &hello, order[k] * 60, 60);
            }
            datagram = datagram_of(m, &frames);
            assert_false(found && !quic_initial_done(flow));
            if (give(flow, &datagram, name)) {
                assert_string_equal(name, "shuffled.example.org");
                found = true;
            }
        }
        assert_true(found && quic_initial_done(flow));
        quic_initial_free(flow);
    }
}

static void coalesced_packets_and_other_frames_are_passed_over(void **state)
{
    (void)state;
    struct sent early = first, last = first;
    struct bytes name = whole("late.example.org"), frames = {.size = 0}, noise = {.size = 40}, datagram = {.size = 0};
    early.type = ZERO_RTT;
    last.number = 1;
    add(&frames, "\x03\x07\x01\x01\x02\x03\x04\x05\x06\x07", 10); /* ACK with one more range, and ECN */
    add(&frames, name.at, name.size);
    add_packet(&datagram, early, &noise);
    add_packet(&datagram, first, &noise); /* an Initial with padding alone */
    add_packet(&datagram, last, &frames);
    add(&datagram, "\x40short", 6);
    expect_last(&datagram, 1, "late.example.org");

    frames = (struct bytes){.size = 0};
    add_number(&frames, TOKEN, 1); /* no frame of a client's first packets: what is behind it is not believed */
    add(&frames, name.at, name.size);
    datagram = datagram_of(first, &frames);
    expect_last(&datagram, 1, NULL);
}

static void the_keys_stay_when_the_id_changes_and_follow_a_retry(void **state)
{
    (void)state;
    struct bytes hello = hello_of("two.example.org", 30), parts[2] = {{.size = 0}, {.size = 0}}, datagrams[3];
    struct sent answered = first, again = {.version = VERSION_1, .number = 1, .key_id = "id of the retry"};
    add_crypto(&parts[0], &hello, 0, 50);
    add_crypto(&parts[1], &hello, 50, hello.size);
    answered.number = 1;
    answered.id = "the server's";
    datagrams[0] = datagram_of(first, &parts[0]);
    datagrams[1] = datagram_of(answered, &parts[1]);
    expect_last(datagrams, 2, "two.example.org");

    datagrams[1] = datagram_of(again, &parts[1]); /* begins again: what came before does not count */
    again.number = 2;
    datagrams[2] = datagram_of(again, &parts[0]);
    expect_last(datagrams, 3, "two.example.org");
}

static void forged_packets_change_nothing(void **state)
{
    (void)state;
    struct bytes frames = whole("true.example.org"), datagram = datagram_of(first, &frames);
    for (uint32_t at = 0; at < datagram.size; at++) {
        struct quic_initial *flow = flow_new();
        struct bytes forged = datagram;
        forged.at[at] ^= 1;
        expect_name(flow, &forged, NULL);
        expect_name(flow, &datagram, "true.example.org");
        quic_initial_free(flow);
    }
}

static void every_truncation_is_caught(void **state)
{
    (void)state;
    struct bytes frames = whole("cut.example.org"), datagram = datagram_of(first, &frames);
    for (uint32_t size = 0; size < datagram.size; size++) {
        struct bytes cut = datagram;
        cut.size = size;
        expect_last(&cut, 1, NULL);
    }
    for (uint32_t size = 0; size < 24; size++) { /* a packet that ends before its sample does */
        struct bytes few = {.size = size}, made = datagram_of(first, &few);
        expect_last(&made, 1, NULL);
    }
    struct bytes bare = {.at = "\xc0\0\0\0\1\0\0\0\4", .size = 13}; /* says that four bytes come */
    expect_last(&bare, 1, NULL);
    for (uint32_t size = 0; size < frames.size; size++) { /* frames that end too soon */
        struct bytes cut = frames, made;
        cut.size = size;
        made = datagram_of(first, &cut);
        expect_last(&made, 1, NULL);
    }
}

static void what_is_too_long_is_left_alone(void **state)
{
    (void)state;
    struct sent m = {.version = VERSION_1, .key_id = "an id of twenty-one b"};
    struct bytes frames = whole("long.example.org"), datagram = datagram_of(m, &frames);
    expect_last(&datagram, 1, NULL);
    for (uint32_t padding = 1; padding < 6000; padding += 5000) {
        struct bytes longer = frames;
        longer.size += padding;
        datagram = datagram_of(first, &longer);
        expect_last(&datagram, 1, padding == 1 ? "long.example.org" : NULL);
    }
}

static void offsets_that_lie_are_bounded(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "\x06\xff\xff\xff\xff\xff\xff\xff\xff\x01x",        /* the highest offset there is */
        "\x06\x00\xff\xff\xff\xff\xff\xff\xff\xff",         /* the greatest size */
        "\x06\x50\x00\x04long",                             /* at 4096: behind what is kept */
        "\x06\x4f\xfe\x04long",                             /* at 4094: half of it is */
        "\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", /* an ACK of all ranges there are */
    };
    static const uint32_t sizes[] = {11, 10, 8, 8, 12};
    struct bytes name = whole("true.example.org");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct bytes frames = {.size = 0}, datagrams[2];
        struct sent second = first;
        second.number = 1;
        add(&frames, lies[i], sizes[i]);
        frames.size += 20;
        datagrams[0] = datagram_of(first, &frames);
        datagrams[1] = datagram_of(second, &name);
        expect_last(datagrams, 2, "true.example.org");
    }
}

static void a_flow_without_a_name_comes_to_an_end(void **state)
{
    (void)state;
    struct quic_initial *flow = flow_new();
    struct bytes none = whole(NULL), datagram = datagram_of(first, &none), noise = {.size = 100},
                 big = hello_of("x", 5000);
    expect_name(flow, &datagram, NULL); /* a whole ClientHello, and no name in it */
    assert_true(quic_initial_done(flow));
    quic_initial_free(flow);

    flow = flow_new();
    for (int i = 1; i <= 32; i++) { /* no QUIC */
        assert_false(quic_initial_done(flow));
        expect_name(flow, &noise, NULL);
    }
    assert_true(quic_initial_done(flow));
    quic_initial_free(flow);

    flow = flow_new();
    for (uint32_t i = 0; i < 4; i++) { /* a ClientHello with the name behind 4 KB */
        struct bytes frames = {.size = 0};
        struct sent m = first;
        m.number = i;
        assert_false(quic_initial_done(flow));
        add_crypto(&frames, &big, i * 1100, 1100);
        datagram = datagram_of(m, &frames);
        expect_name(flow, &datagram, NULL);
    }
    assert_true(quic_initial_done(flow));
    quic_initial_free(flow);
    quic_initial_free(NULL);
}

static void names_that_are_none_are_not_shown(void **state)
{
    (void)state;
    struct bytes frames = whole("evil\x1b[2J.org"), datagram = datagram_of(first, &frames);
    struct quic_initial *flow = flow_new();
    char small[8] = "";
    expect_name(flow, &datagram, NULL);
    assert_true(quic_initial_done(flow));
    quic_initial_free(flow);

    flow = flow_new();
    frames = whole("too.long");
    datagram = datagram_of(first, &frames);
    assert_false(quic_initial_server_name(datagram.at, datagram.size, flow, small, sizeof small));
    assert_string_equal(small, "");
    quic_initial_free(flow);
}

static uint32_t opened;

static bool count_open(const struct quic_crypto *c, const uint8_t key[QUIC_KEY], const uint8_t nonce[QUIC_NONCE],
                       const uint8_t *header, uint32_t header_size, uint8_t *sealed, uint32_t size)
{
    (void)c, (void)key, (void)nonce, (void)header, (void)header_size, (void)sealed, (void)size;
    opened++;
    return false;
}

/* Seventy packets fit into a datagram: each attempt to decrypt costs. */
static void attempts_to_decrypt_are_counted(void **state)
{
    (void)state;
    struct quic_crypto counting = toy_crypto;
    counting.open = count_open;
    struct quic_initial *flow = quic_initial_new(&counting);
    struct bytes datagram = {.size = 0}, noise = {.size = 4};
    for (int i = 0; i < 60; i++) {
        add_packet(&datagram, first, &noise);
    }
    for (int i = 0; i < 40; i++) {
        expect_name(flow, &datagram, NULL);
    }
    assert_int_equal(opened, 4 * 32);
    quic_initial_free(flow);
}

static int set_up(void **state)
{
    (void)state;
    guard = guarded_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_free(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_in_one_datagram_is_found),
        cmocka_unit_test(every_cut_of_a_hello_is_put_together),
        cmocka_unit_test(a_shuffled_hello_of_two_datagrams_is_put_together),
        cmocka_unit_test(coalesced_packets_and_other_frames_are_passed_over),
        cmocka_unit_test(the_keys_stay_when_the_id_changes_and_follow_a_retry),
        cmocka_unit_test(forged_packets_change_nothing),
        cmocka_unit_test(every_truncation_is_caught),
        cmocka_unit_test(what_is_too_long_is_left_alone),
        cmocka_unit_test(offsets_that_lie_are_bounded),
        cmocka_unit_test(a_flow_without_a_name_comes_to_an_end),
        cmocka_unit_test(names_that_are_none_are_not_shown),
        cmocka_unit_test(attempts_to_decrypt_are_counted),
    };
    return cmocka_run_group_tests_name("quic_initial", tests, set_up, tear_down);
}
