/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sessions, and which filter wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arbitration.h"

enum { FIREWALLS = 0x8000, HIGHEST = 0xffff };

static int one, two; /* sessions */

static int sublayer(const void *session, uint8_t key, uint64_t weight)
{
    struct filters_request request = {.what = FILTERS_ADD_SUBLAYER, .key = {key}, .weight = weight};

    return arbitration_add(session, &request);
}

static struct filters_request permit(uint8_t key, uint8_t of)
{
    return (struct filters_request){
        .what = FILTERS_ADD_FILTER,
        .key = {key},
        .sublayer = {of},
        .layers = FILTERS_CONNECT_V4,
        .hard = 1,
        .application = FILTERS_SYSTEM,
        .protocol = 255,
    };
}

static int begin(void **state)
{
    (void)state;
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    assert_int_equal(sublayer(&one, 1, HIGHEST), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arbitration_end(&one, true);
    arbitration_end(&two, true);
    assert_int_equal(arbitration_filters(), 0);
    return 0;
}

static void a_hard_permit_wins_in_its_family_once_committed(void **state)
{
    struct filters_request filter = permit(1, 1);

    (void)state;
    assert_int_equal(arbitration_add(&one, &filter), 0);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    arbitration_commit(&one);
    assert_false(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V6));
    arbitration_end(&one, true);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
}

static void others_do_not(void **state)
{
    struct filters_request soft = permit(1, 1), tcp = permit(2, 1), other = permit(3, 1), low = permit(4, 2);

    (void)state;
    soft.hard = 0;
    tcp.protocol = 6;
    other.application = FILTERS_OTHER_APPLICATION;
    assert_int_equal(sublayer(&one, 2, FIREWALLS - 1), 0);
    assert_int_equal(arbitration_add(&one, &soft), 0);
    assert_int_equal(arbitration_add(&one, &tcp), 0);
    assert_int_equal(arbitration_add(&one, &other), 0);
    assert_int_equal(arbitration_add(&one, &low), 0);
    arbitration_commit(&one);
    assert_int_equal(arbitration_filters(), 4);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
}

static void as_tcp_of_a_raw_endpoint(void **state)
{
    struct filters_request reserved = permit(1, 1), tcp = permit(2, 1);

    (void)state;
    tcp.protocol = 6;
    tcp.flags = 0x10;
    assert_int_equal(arbitration_add(&one, &tcp), 0);
    arbitration_commit(&one);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4)); /* the usual packet is neither */
    arbitration_see_tcp(true);
    assert_false(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    arbitration_end(&one, true);
    assert_int_equal(sublayer(&one, 1, HIGHEST), 0);
    assert_int_equal(arbitration_add(&one, &reserved), 0);
    arbitration_commit(&one);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    arbitration_see_tcp(false);
    assert_false(arbitration_blocks_injected(FILTERS_CONNECT_V4));
}

static void a_block_above_is_final_and_one_below_is_not(void **state)
{
    struct filters_request filter = permit(1, 1), block = permit(2, 2);

    (void)state;
    block.block = 1;
    block.hard = 0;
    assert_int_equal(arbitration_add(&one, &filter), 0);
    arbitration_commit(&one);
    assert_int_equal(sublayer(&two, 2, HIGHEST - 1), 0);
    assert_int_equal(arbitration_add(&two, &block), 0);
    arbitration_commit(&two);
    assert_false(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    arbitration_end(&one, true);
    assert_int_equal(sublayer(&one, 3, FIREWALLS + 1), 0);
    filter.sublayer[0] = 3;
    assert_int_equal(arbitration_add(&one, &filter), 0);
    arbitration_commit(&one);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
}

static void the_heaviest_filter_of_a_sublayer_decides(void **state)
{
    struct filters_request filter = permit(1, 1), block = permit(2, 1);

    (void)state;
    block.block = 1;
    block.weight = 1;
    assert_int_equal(arbitration_add(&one, &filter), 0);
    arbitration_commit(&one);
    assert_false(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    assert_int_equal(arbitration_add(&one, &block), 0);
    arbitration_commit(&one);
    assert_true(arbitration_blocks_injected(FILTERS_CONNECT_V4));
}

static void keys_are_unique_and_sublayers_needed(void **state)
{
    struct filters_request filter = permit(1, 9);

    (void)state;
    assert_int_equal(arbitration_add(&one, &filter), ARBITRATION_SUBLAYER_NOT_FOUND);
    assert_int_equal(sublayer(&two, 1, 1), ARBITRATION_ALREADY_EXISTS);
    filter.sublayer[0] = 1;
    assert_int_equal(arbitration_add(&one, &filter), 0);
    assert_int_equal(arbitration_add(&one, &filter), ARBITRATION_ALREADY_EXISTS);
    arbitration_abort(&one); /* the sublayer, too: it was not committed */
    assert_int_equal(arbitration_add(&one, &filter), ARBITRATION_SUBLAYER_NOT_FOUND);
}

static void objects_of_a_lasting_session_stay(void **state)
{
    struct filters_request filter = permit(1, 1), block = permit(2, 2);

    (void)state;
    assert_int_equal(arbitration_add(&one, &filter), 0);
    arbitration_commit(&one);
    assert_int_equal(sublayer(&two, 2, HIGHEST), 0);
    arbitration_commit(&two);
    block.block = 1;
    assert_int_equal(arbitration_add(&two, &block), 0);
    arbitration_end(&two, false); /* what it had committed stays, the rest goes */
    assert_false(arbitration_blocks_injected(FILTERS_CONNECT_V4));
    assert_int_equal(sublayer(&two, 2, 1), ARBITRATION_ALREADY_EXISTS);
    arbitration_end(NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hard_permit_wins_in_its_family_once_committed, begin, end),
        cmocka_unit_test_setup_teardown(others_do_not, begin, end),
        cmocka_unit_test_setup_teardown(as_tcp_of_a_raw_endpoint, begin, end),
        cmocka_unit_test_setup_teardown(a_block_above_is_final_and_one_below_is_not, begin, end),
        cmocka_unit_test_setup_teardown(the_heaviest_filter_of_a_sublayer_decides, begin, end),
        cmocka_unit_test_setup_teardown(keys_are_unique_and_sublayers_needed, begin, end),
        cmocka_unit_test_setup_teardown(objects_of_a_lasting_session_stay, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
