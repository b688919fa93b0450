/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who belongs to the tree (I1), and that a process is its pid and its creation time (I2). */
#include "packets.h"

#include "engine/process_tree.h"

enum { SECOND = 10000000 }; /* on the clock of creation times */

static struct process_tree *tree;

static int set_up(void **state)
{
    (void)state;
    tree = process_tree_new();
    return tree ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    process_tree_free(tree);
    return 0;
}

static struct process_id id_of(uint32_t pid, uint64_t created)
{
    return (struct process_id){pid, created};
}

/* parent_created 0: the parent is dead. */
static bool learn(uint32_t pid, uint64_t created, uint32_t parent, uint64_t parent_created)
{
    struct process_facts facts = {.self = {pid, created}, .parent = {parent, parent_created}};
    return process_tree_learn(tree, &facts);
}

/* How many pids are known. */
static uint32_t members(void)
{
    uint32_t n = 0;
    for (uint32_t pid = 0; pid < 10000; pid++) {
        n += process_tree_knows(tree, pid);
    }
    return n;
}

static void i1_a_root_is_a_member_and_a_stranger_is_not(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    assert_true(learn(1000, 10, 4, 1));
    assert_false(learn(2000, 20, 4, 1));
    assert_false(process_tree_knows(tree, 2000));
    assert_int_equal(members(), 1);
}

static void i1_descendants_are_members_through_any_number_of_generations(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    for (uint32_t i = 1; i <= 2000; i++) {
        assert_true(learn(1000 + 4 * i, 10 + i, 1000 + 4 * (i - 1), 10 + i - 1));
    }
    assert_int_equal(members(), 2001);
}

static void i1_there_may_be_several_roots(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_add(tree, id_of(2000, 20));
    process_tree_add(tree, id_of(2000, 20)); /* twice is once */
    assert_int_equal(members(), 2);
    assert_true(learn(3000, 30, 1000, 10));
    assert_true(learn(4000, 40, 2000, 20));
}

static void i1_membership_outlives_the_parent(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    assert_true(learn(1004, 20, 1000, 10));
    process_tree_exit(tree, id_of(1004, 20), 0);
    assert_true(learn(1008, 30, 1004, 0)); /* the parent is dead already */
    process_tree_exit(tree, id_of(1000, 10), 0);
    assert_true(learn(1012, 40, 1008, 30));
}

static void i1_the_kernels_own_word_counts_where_no_parent_link_leads(void **state)
{
    (void)state;
    struct process_facts facts = {.self = {3000, 30}, .parent = {2000, 0}, .in_tree = true};
    assert_true(process_tree_learn(tree, &facts));
    assert_true(learn(3004, 40, 3000, 30)); /* and so do the links that lead to it */
}

static void i2_a_reused_pid_inherits_nothing(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_exit(tree, id_of(1000, 10), 0);
    assert_false(learn(1000, 99, 4, 1)); /* same pid, another process */
    assert_false(process_tree_knows(tree, 1000));
    assert_false(learn(1004, 120, 1000, 99)); /* nor do its children */
    assert_int_equal(members(), 0);
}

static void i2_a_child_of_a_reused_pid_inherits_nothing(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_exit(tree, id_of(1000, 10), 0);
    assert_false(learn(1004, 120, 1000, 99)); /* its parent is not the member that had the pid */
}

static void i2_a_parent_younger_than_its_child_is_no_parent(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 50)); /* took the pid of the child's real parent, long dead */
    assert_false(learn(1004, 20, 1000, 50));
    assert_false(learn(1008, 20, 1000, 0));
    assert_true(learn(1012, 60, 1000, 50));
}

static void i2_a_member_whose_pid_is_reused_by_a_member_is_another_member(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    assert_true(learn(1004, 20, 1000, 10));
    assert_true(learn(1004, 70, 1000, 10));
    assert_int_equal(members(), 2);
    process_tree_exit(tree, id_of(1004, 20), 0); /* late news of the first one's end */
    process_tree_tick(tree, 2 * PROCESS_TREE_RECENT_MS);
    assert_true(process_tree_knows(tree, 1004));
}

/*
 * A member that was gone before its creation time could be read: whoever is found alive with its pid is
 * somebody else.
 */
static void i2_a_living_process_is_not_a_member_that_was_gone_when_it_was_added(void **state)
{
    (void)state;
    process_tree_gone(tree, 1000, 10, 20);
    assert_true(process_tree_knows(tree, 1000)); /* its own late events are still recognised */
    assert_false(learn(1000, 99, 4, 1));
}

static void i1_i2_a_member_that_was_gone_when_it_was_added_can_have_left_children(void **state)
{
    (void)state;
    process_tree_gone(tree, 1000, 10 * SECOND, 20 * SECOND);
    assert_false(learn(1004, 9 * SECOND, 1000, 0)); /* of a stranger that had its pid before */
    assert_false(learn(1008, 21 * SECOND, 1000, 0));
    assert_true(learn(1012, 10 * SECOND, 1000, 0));
    assert_true(learn(1016, 20 * SECOND, 1000, 0));
    process_tree_exit(tree, id_of(1000, 0), 30 * SECOND); /* the message of its end, or of another's */
    assert_false(learn(1020, 29 * SECOND, 1000, 0));
}

static void a_member_whose_creation_time_comes_later_stays_one_member(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 0));
    process_tree_add(tree, id_of(1000, 10));
    assert_int_equal(members(), 1);
    assert_true(learn(1000, 10, 4, 1));
}

static void i1_children_of_a_member_that_ended_long_ago_are_members(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10 * SECOND));
    process_tree_exit(tree, id_of(1000, 10 * SECOND), 20 * SECOND);
    process_tree_tick(tree, 1000ull * PROCESS_TREE_RECENT_MS);
    assert_true(learn(1004, 15 * SECOND, 1000, 0));
    assert_false(learn(1008, 21 * SECOND, 1000, 0)); /* a stranger has had its pid since, and is gone, too */
    assert_false(learn(1012, 9 * SECOND, 1000, 0));
    assert_true(learn(1016, 19 * SECOND, 1000, 0));
}

static void a_pid_that_is_gone_is_its_last_members_for_a_while(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_add(tree, id_of(2000, 10));
    process_tree_tick(tree, 5000);
    process_tree_exit(tree, id_of(1000, 10), 0);
    process_tree_tick(tree, 5000 + PROCESS_TREE_RECENT_MS - 1);
    assert_true(process_tree_knows(tree, 1000));
    process_tree_tick(tree, 5000 + PROCESS_TREE_RECENT_MS);
    assert_false(process_tree_knows(tree, 1000));
    process_tree_tick(tree, 1000ull * PROCESS_TREE_RECENT_MS);
    assert_true(process_tree_knows(tree, 2000)); /* the living are never forgotten */
}

/* Those whose end is told are kept; of the others the one that was added or has ended first makes room. */
static void s9_too_many_members_make_room_and_are_counted(void **state)
{
    (void)state;
    process_tree_pin(tree, id_of(4, 1));
    process_tree_pin(tree, id_of(8, 1));
    for (uint32_t i = 0; i < PROCESS_TREE_UNPINNED_MAX; i++) {
        process_tree_add(tree, id_of(1000 + 4 * i, 10 + i));
    }
    process_tree_exit(tree, id_of(1000, 10), 0); /* so it is the newest */
    process_tree_exit(tree, id_of(8, 1), 0);
    assert_int_equal(process_tree_forgotten(tree), 0);
    assert_true(process_tree_knows(tree, 1004));
    process_tree_add(tree, id_of(12, 1));
    process_tree_add(tree, id_of(16, 1));
    assert_int_equal(process_tree_forgotten(tree), 2);
    assert_false(process_tree_knows(tree, 1004) || process_tree_knows(tree, 1008));
    assert_true(process_tree_knows(tree, 1000) && process_tree_knows(tree, 4) && process_tree_knows(tree, 8));
    assert_true(process_tree_knows(tree, 12) && process_tree_knows(tree, 16));
    assert_true(process_tree_is_pinned(tree, 4));
}

static void an_exit_of_somebody_else_is_no_exit(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_exit(tree, id_of(1000, 9), 0);
    process_tree_exit(tree, id_of(3000, 10), 0);
    process_tree_tick(tree, 1000ull * PROCESS_TREE_RECENT_MS);
    assert_true(process_tree_knows(tree, 1000));
}

static void members_of_one_bucket_do_not_disturb_each_other(void **state)
{
    (void)state;
    enum { APART = 4 * 4096 };
    for (uint32_t i = 0; i < 8; i++) {
        process_tree_add(tree, id_of(1000 + APART * i, 10 + i));
    }
    for (uint32_t i = 0; i < 8; i += 2) {
        assert_false(learn(1000 + APART * i, 99, 4, 1)); /* another process has the pid now */
    }
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(process_tree_knows(tree, 1000 + APART * i), i % 2 == 1);
    }
}

int main(void)
{
#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TREE(i1_a_root_is_a_member_and_a_stranger_is_not),
        WITH_TREE(i1_descendants_are_members_through_any_number_of_generations),
        WITH_TREE(i1_there_may_be_several_roots),
        WITH_TREE(i1_membership_outlives_the_parent),
        WITH_TREE(i1_the_kernels_own_word_counts_where_no_parent_link_leads),
        WITH_TREE(i2_a_reused_pid_inherits_nothing),
        WITH_TREE(i2_a_child_of_a_reused_pid_inherits_nothing),
        WITH_TREE(i2_a_parent_younger_than_its_child_is_no_parent),
        WITH_TREE(i2_a_member_whose_pid_is_reused_by_a_member_is_another_member),
        WITH_TREE(i2_a_living_process_is_not_a_member_that_was_gone_when_it_was_added),
        WITH_TREE(i1_i2_a_member_that_was_gone_when_it_was_added_can_have_left_children),
        WITH_TREE(a_member_whose_creation_time_comes_later_stays_one_member),
        WITH_TREE(i1_children_of_a_member_that_ended_long_ago_are_members),
        WITH_TREE(a_pid_that_is_gone_is_its_last_members_for_a_while),
        WITH_TREE(s9_too_many_members_make_room_and_are_counted),
        WITH_TREE(an_exit_of_somebody_else_is_no_exit),
        WITH_TREE(members_of_one_bucket_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests_name("process_tree", tests, NULL, NULL);
}
