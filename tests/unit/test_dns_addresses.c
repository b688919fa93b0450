/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* R2: which addresses a name has, by an answer of the DNS; and that no byte behind one is looked at. */
#include "dns_messages.h"

#include "../../cli/dns_addresses.h"

static struct guarded message;

static void add_owned(struct message *m, const char *owner, uint32_t type, const void *data, uint32_t size)
{
    add_name(m, owner);
    add16(m, type);
    add16(m, IN);
    add16(m, 0);
    add16(m, 60);
    add16(m, size);
    add_bytes(m, data, size);
}

static void add_alias(struct message *m, const char *owner, const char *alias)
{
    struct message name = {.length = 0};
    add_name(&name, alias);
    add_owned(m, owner, CNAME, name.bytes, name.length);
}

/* `ends`: of the addresses, by their last bytes. */
static void expect_addresses(const struct message *m, uint32_t count, const char *name, const char *ends)
{
    redirector_address found[64];
    char host[DNS_HOST_MAX] = "";
    assert_int_equal(dns_addresses(guarded_put(&message, m->bytes, m->length), m->length, host, found, 64), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(host, name);
        assert_int_equal(found[i].bytes[found[i].family == 6 ? 15 : 3], ends[i]);
    }
}

static void r2_addresses_are_those_of_the_name_that_was_asked(void **state)
{
    (void)state;
    static const uint8_t v4[] = {192, 0, 2, 9}, v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 8};
    struct message m = question_of(ANSWER, 4, A, "WWW.Example.org");
    add_a(&m, 7);
    add_owned(&m, "www.EXAMPLE.org", AAAA, v6, 16);
    add_owned(&m, "other.example.org", A, v4, 4);
    add_owned(&m, "example.org", A, v4, 4);
    expect_addresses(&m, 2, "www.example.org", "\7\10");
}

static void r2_aliases_are_followed_in_any_order(void **state)
{
    (void)state;
    static const uint8_t one[] = {192, 0, 2, 1}, two[] = {192, 0, 2, 2};
    struct message m = question_of(ANSWER, 5, A, "a.test");
    add_owned(&m, "c.test", A, one, 4);
    add_alias(&m, "b.test", "C.test");
    add_alias(&m, "a.test", "b.test");
    add_owned(&m, "c.test", A, two, 4);
    add_owned(&m, "d.test", A, two, 4);
    expect_addresses(&m, 2, "a.test", "\1\2");
}

static void r2_aliases_that_lead_round_have_no_address(void **state)
{
    (void)state;
    static const uint8_t one[] = {192, 0, 2, 1};
    struct message m = question_of(ANSWER, 3, A, "a.test");
    add_alias(&m, "a.test", "b.test");
    add_alias(&m, "b.test", "a.test");
    add_owned(&m, "b.test", A, one, 4);
    expect_addresses(&m, 0, "", "");
}

static void r2_what_gives_no_name_is_not_believed(void **state)
{
    (void)state;
    struct message m = question_of(ANSWER | NXDOMAIN, 1, A, "a.test");
    add_a(&m, 1);
    expect_addresses(&m, 0, "", "");
    m = question_of(QUERY, 1, A, "a.test");
    add_a(&m, 1);
    expect_addresses(&m, 0, "", "");
    m = question_of(ANSWER, 2, A, "a.test"); /* the second one is missing */
    add_a(&m, 1);
    expect_addresses(&m, 0, "", "");
    m = question_of(ANSWER, 1, A, "a b.test");
    add_a(&m, 1);
    expect_addresses(&m, 0, "", "");
    m = question_of(ANSWER, 1, A, ".");
    expect_addresses(&m, 0, "", "");
    m = question_of(ANSWER, 1, A, "a.test");
    add_record(&m, A, 5); /* an address of five bytes */
    add_bytes(&m, "12345", 5);
    expect_addresses(&m, 0, "", "");
    m = question_of(ANSWER, 1, A, "a.test");
    add_record(&m, AAAA, 4);
    add_bytes(&m, "1234", 4);
    expect_addresses(&m, 0, "", "");
}

static void r2_more_than_there_is_room_for_is_left_out(void **state)
{
    (void)state;
    redirector_address found[3];
    char host[DNS_HOST_MAX];
    struct message m = question_of(ANSWER, 100, A, "a.test");
    for (uint8_t i = 0; i < 100; i++) {
        add_a(&m, i);
    }
    assert_int_equal(dns_addresses(m.bytes, m.length, host, found, 3), 3);
    assert_int_equal(found[2].bytes[3], 2);
}

static void r2_answers_are_known_by_their_id(void **state)
{
    (void)state;
    uint16_t id;
    struct message q = question_of(QUERY, 0, A, "a.test"), a = question_of(ANSWER, 0, A, "a.test");
    assert_true(dns_id(q.bytes, q.length, false, &id) && id == 0x1234 && !dns_id(q.bytes, q.length, true, &id));
    assert_true(dns_id(a.bytes, a.length, true, &id) && id == 0x1234 && !dns_id(a.bytes, a.length, false, &id));
    assert_false(dns_id(guarded_put(&message, a.bytes, 11), 11, true, &id));
}

static int set_up(void **state)
{
    (void)state;
    message = guarded_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_free(&message);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r2_addresses_are_those_of_the_name_that_was_asked),
        cmocka_unit_test(r2_aliases_are_followed_in_any_order),
        cmocka_unit_test(r2_aliases_that_lead_round_have_no_address),
        cmocka_unit_test(r2_what_gives_no_name_is_not_believed),
        cmocka_unit_test(r2_more_than_there_is_room_for_is_left_out),
        cmocka_unit_test(r2_answers_are_known_by_their_id),
    };
    return cmocka_run_group_tests_name("dns_addresses", tests, set_up, tear_down);
}
