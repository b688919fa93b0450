/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who belongs to the tree (I1), and that a process is its pid and its creation time (I2). */
#include "packets.h"

#include "engine/process_tree.h"

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
    process_tree_exit(tree, id_of(1004, 20), 5000);
    process_tree_tick(tree, 5001);
    assert_true(learn(1008, 30, 1004, 0)); /* the parent is dead already */
    process_tree_exit(tree, id_of(1000, 10), 6000);
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
    process_tree_exit(tree, id_of(1000, 10), 5000);
    assert_false(learn(1000, 99, 4, 1)); /* same pid, another process */
    assert_false(process_tree_knows(tree, 1000));
    assert_false(learn(1004, 120, 1000, 99)); /* nor do its children */
    assert_int_equal(members(), 0);
}

static void i2_a_child_of_a_reused_pid_inherits_nothing(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_exit(tree, id_of(1000, 10), 5000);
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
    process_tree_exit(tree, id_of(1004, 20), 5000); /* late news of the first one's end */
    process_tree_tick(tree, 5000 + PROCESS_TREE_FORGET_MS);
    assert_true(process_tree_knows(tree, 1004));
}

/*
 * A member that was gone before its creation time could be read: whoever is found alive with its pid is
 * somebody else.
 */
static void i2_a_living_process_is_not_a_member_that_was_gone_when_it_was_added(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 0));
    assert_true(process_tree_knows(tree, 1000)); /* its own late events are still recognised */
    assert_false(learn(1000, 99, 4, 1));
}

static void a_member_that_was_gone_when_it_was_added_can_have_left_children(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 0));
    assert_true(learn(1004, 20, 1000, 0));
}

static void a_member_whose_creation_time_comes_later_stays_one_member(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 0));
    process_tree_add(tree, id_of(1000, 10));
    assert_int_equal(members(), 1);
    assert_true(learn(1000, 10, 4, 1));
}

static void an_exited_member_is_known_for_a_while_and_then_forgotten(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_add(tree, id_of(2000, 10));
    process_tree_exit(tree, id_of(1000, 10), 5000);
    process_tree_tick(tree, 5000 + PROCESS_TREE_FORGET_MS - 1);
    assert_true(process_tree_knows(tree, 1000));
    process_tree_tick(tree, 5000 + PROCESS_TREE_FORGET_MS);
    assert_false(process_tree_knows(tree, 1000));
    process_tree_tick(tree, 1000ull * PROCESS_TREE_FORGET_MS);
    assert_true(process_tree_knows(tree, 2000)); /* the living are never forgotten */
    assert_int_equal(members(), 1);
}

static void a_member_that_exits_when_the_clock_shows_zero_is_known_for_a_while_too(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_exit(tree, id_of(1000, 10), 0);
    process_tree_tick(tree, 0);
    assert_true(process_tree_knows(tree, 1000));
}

static void an_exit_of_somebody_else_is_no_exit(void **state)
{
    (void)state;
    process_tree_add(tree, id_of(1000, 10));
    process_tree_exit(tree, id_of(1000, 9), 5000);
    process_tree_exit(tree, id_of(3000, 10), 5000);
    process_tree_tick(tree, 1000ull * PROCESS_TREE_FORGET_MS);
    assert_true(process_tree_knows(tree, 1000));
}

static void members_of_one_bucket_do_not_disturb_each_other(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        process_tree_add(tree, id_of(1000 + 1024 * i, 10 + i));
    }
    for (uint32_t i = 0; i < 8; i += 2) {
        process_tree_exit(tree, id_of(1000 + 1024 * i, 10 + i), 1);
    }
    process_tree_tick(tree, 1 + PROCESS_TREE_FORGET_MS);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(process_tree_knows(tree, 1000 + 1024 * i), i % 2 == 1);
    }
    assert_int_equal(members(), 4);
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
        WITH_TREE(a_member_that_was_gone_when_it_was_added_can_have_left_children),
        WITH_TREE(a_member_whose_creation_time_comes_later_stays_one_member),
        WITH_TREE(an_exited_member_is_known_for_a_while_and_then_forgotten),
        WITH_TREE(a_member_that_exits_when_the_clock_shows_zero_is_known_for_a_while_too),
        WITH_TREE(an_exit_of_somebody_else_is_no_exit),
        WITH_TREE(members_of_one_bucket_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests_name("process_tree", tests, NULL, NULL);
}
