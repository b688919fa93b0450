/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "packets.h"

#include "engine/own_addresses.h"

static struct own_address own(const char *address, uint32_t if_index)
{
    struct own_address out = {.if_index = if_index};
    out.address = address_of(address, &out.family);
    return out;
}

static bool has(const struct own_addresses *l, const char *address)
{
    struct own_address wanted = own(address, 0);
    return own_addresses_has(l, &wanted.address, wanted.family);
}

static uint32_t interface_of(const struct own_addresses *l, const char *address)
{
    struct own_address wanted = own(address, 0);
    return own_addresses_interface(l, &wanted.address);
}

static void every_address_is_found_and_no_other(void **state)
{
    struct own_address all[] = {own("fe80::2", 4), own("10.0.0.1", 4),    own("127.0.0.1", 1),
                                own("::1", 1),     own("2001:db8::1", 9), own("0.0.0.0", 9)};
    struct own_addresses *l = own_addresses_new(all, sizeof all / sizeof *all);
    (void)state;
    assert_true(has(l, "10.0.0.1") && has(l, "127.0.0.1") && has(l, "::1") && has(l, "2001:db8::1") &&
                has(l, "fe80::2") && has(l, "0.0.0.0"));
    assert_false(has(l, "10.0.0.2") || has(l, "::") || has(l, "::ffff:10.0.0.1") || has(l, "fe80::1") ||
                 has(l, "fe80::3") || has(l, "ffff::"));
    assert_int_equal(interface_of(l, "fe80::2"), 4);
    assert_int_equal(interface_of(l, "2001:db8::1"), 9);
    assert_int_equal(interface_of(l, "fe80::3"), 0);
    own_addresses_free(l);
}

static void an_address_of_several_interfaces_tells_none(void **state)
{
    struct own_address all[] = {own("fe80::1", 9), own("fe80::2", 4), own("fe80::1", 4), own("fe80::1", 7)};
    struct own_addresses *l = own_addresses_new(all, sizeof all / sizeof *all);
    (void)state;
    assert_true(has(l, "fe80::1"));
    assert_int_equal(interface_of(l, "fe80::1"), 0);
    assert_int_equal(interface_of(l, "fe80::2"), 4);
    assert_true(own_addresses_link_local_doubled(l));
    own_addresses_free(l);
}

static void only_link_local_addresses_that_are_the_same_are_doubled(void **state)
{
    struct own_address all[] = {own("10.0.0.1", 4), own("10.0.0.1", 5), own("fe80::1", 4),
                                own("fe80::2", 5),  own("::1", 1),      own("::1", 2)};
    struct own_addresses *l = own_addresses_new(all, sizeof all / sizeof *all);
    (void)state;
    assert_false(own_addresses_link_local_doubled(l));
    own_addresses_free(l);
}

static void none_at_all(void **state)
{
    struct own_address unused = own("::1", 1);
    struct own_addresses *l = own_addresses_new(&unused, 0);
    (void)state;
    assert_false(has(l, "::1"));
    assert_int_equal(interface_of(l, "::1"), 0);
    own_addresses_free(l);
    own_addresses_free(NULL);
}

static void sets_are_equal_in_whatever_order(void **state)
{
    struct own_address a[] = {own("fe80::1", 9), own("10.0.0.1", 4), own("fe80::1", 4)};
    struct own_address b[] = {a[2], a[0], a[1]}, c[] = {a[0], a[1], own("fe80::1", 5)};
    struct own_addresses *la = own_addresses_new(a, 3), *lb = own_addresses_new(b, 3), *lc = own_addresses_new(c, 3),
                         *shorter = own_addresses_new(a, 2);
    (void)state;
    assert_true(own_addresses_equal(la, lb) && own_addresses_equal(NULL, NULL));
    assert_false(own_addresses_equal(la, lc) || own_addresses_equal(la, shorter) || own_addresses_equal(la, NULL) ||
                 own_addresses_equal(NULL, la));
    own_addresses_free(la);
    own_addresses_free(lb);
    own_addresses_free(lc);
    own_addresses_free(shorter);
    b[1].prefix_length = 8;
    lb = own_addresses_new(b, 3), la = own_addresses_new(a, 3);
    assert_false(own_addresses_equal(la, lb)); /* it has another broadcast address */
    own_addresses_free(la);
    own_addresses_free(lb);
}

static bool is_broadcast(const struct own_addresses *l, const char *address)
{
    struct own_address wanted = own(address, 0);
    return own_addresses_is_broadcast(l, &wanted.address, wanted.family);
}

static void u3_broadcast_addresses_of_its_networks(void **state)
{
    struct own_address all[] = {own("10.1.2.3", 1),  own("172.16.5.6", 2),   own("192.0.2.1", 3),
                                own("192.0.2.9", 4), own("198.51.100.7", 5), own("2001:db8::1", 6)};
    static const uint8_t prefixes[] = {8, 23, 30, 31, 0, 120};
    (void)state;
    for (int i = 0; i < 6; i++) {
        all[i].prefix_length = prefixes[i];
    }
    struct own_addresses *l = own_addresses_new(all, 6);
    assert_true(is_broadcast(l, "10.255.255.255") && is_broadcast(l, "172.16.5.255") && is_broadcast(l, "192.0.2.3"));
    assert_false(is_broadcast(l, "10.1.2.255") || is_broadcast(l, "172.16.4.255") || is_broadcast(l, "192.0.2.9") ||
                 is_broadcast(l, "192.0.2.8") || is_broadcast(l, "198.51.100.7") ||
                 is_broadcast(l, "255.255.255.255") || is_broadcast(l, "2001:db8::ff"));
    own_addresses_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_is_found_and_no_other),
        cmocka_unit_test(an_address_of_several_interfaces_tells_none),
        cmocka_unit_test(only_link_local_addresses_that_are_the_same_are_doubled),
        cmocka_unit_test(none_at_all),
        cmocka_unit_test(sets_are_equal_in_whatever_order),
        cmocka_unit_test(u3_broadcast_addresses_of_its_networks),
    };
    return cmocka_run_group_tests_name("own addresses", tests, NULL, NULL);
}
