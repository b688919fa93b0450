/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The segments that end a flow at both ends (S2): their form. When they are sent is in test_engine_stop.c. */
#include "packets.h"

#include "engine/reset.h"

static struct flow_table table;

static int set_up(void **state)
{
    (void)state;
    return flow_table_init(&table, 4, 42) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    flow_table_free(&table);
    return 0;
}

struct ends {
    struct tuple original, steered;
};

static struct ends ends_of(uint32_t family)
{
    if (family == FAMILY_IP4) {
        return (struct ends){tuple_of("10.0.0.1", 50000, "93.184.216.34", 443),
                             tuple_of("127.0.0.1", 50001, "127.0.0.1", 8080)};
    }
    return (struct ends){tuple_of("2001:db8::1", 50000, "2001:db8::2", 443), tuple_of("::1", 50001, "::1", 8080)};
}

static uint32_t open_flow(const struct ends *ends)
{
    uint32_t id = flow_open(&table, &ends->original, &ends->steered, 0);
    flow_at(&table, id)->isn = 100;
    return id;
}

/* Checks the form of one by independent means. */
static void check(struct made *m, const struct tuple *tuple)
{
    bool ip4 = tuple->family == FAMILY_IP4;
    m->tcp_offset = ip4 ? 20 : 40;
    struct packet p;
    assert_int_equal(packet_parse(m->bytes, m->length, &p), PACKET_TCP);
    assert_true(tuple_equal(&p.tuple, tuple));
    assert_int_equal(m->length, m->tcp_offset + 20);
    assert_int_equal(p.payload, 0);
    assert_true(ip_checksum_right(m) && tcp_checksum_right(m));
    assert_true(m->bytes[ip4 ? 8 : 7] >= 32); /* it must get there */
}

static void build(uint32_t id, enum leg leg, uint32_t seq, const struct tuple *tuple, struct made *m)
{
    m->length = reset_build(&table, id, leg, seq, m->bytes);
    check(m, tuple);
}

static void s2_each_end_gets_its_own_tuple_and_number(void **state)
{
    (void)state;
    struct made *m = malloc(sizeof *m);
    for (uint32_t family = FAMILY_IP4; family <= FAMILY_IP6; family += 2) {
        struct ends ends = ends_of(family);
        struct tuple back = tuple_reversed(&ends.original);
        uint32_t id = open_flow(&ends);
        build(id, LEG_FORWARD, 0xfedcba98, &ends.steered, m);
        assert_int_equal(m->bytes[m->tcp_offset + 13], TCP_RST);
        assert_int_equal(wire32(m->bytes + m->tcp_offset + 4), 0xfedcba98);
        build(id, LEG_REPLY, 0x12345678, &back, m);
        assert_int_equal(m->bytes[m->tcp_offset + 13], TCP_RST);
        assert_int_equal(wire32(m->bytes + m->tcp_offset + 4), 0x12345678);
    }
    free(m);
}

static void s2_a_program_that_waits_for_an_answer_is_refused(void **state)
{
    (void)state;
    struct made *m = malloc(sizeof *m);
    for (uint32_t family = FAMILY_IP4; family <= FAMILY_IP6; family += 2) {
        struct ends ends = ends_of(family);
        struct tuple back = tuple_reversed(&ends.original);
        m->length = reset_refuse_flow(&table, open_flow(&ends), m->bytes);
        check(m, &back);
        assert_int_equal(m->bytes[m->tcp_offset + 13], TCP_RST | TCP_ACK);
        assert_int_equal(wire32(m->bytes + m->tcp_offset + 8), 101); /* acknowledges the SYN, or it is ignored */
    }
    free(m);
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TABLE(s2_each_end_gets_its_own_tuple_and_number),
        WITH_TABLE(s2_a_program_that_waits_for_an_answer_is_refused),
    };
    return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
