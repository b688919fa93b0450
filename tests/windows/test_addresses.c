/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The machine's addresses and their changes, as fake_iphlpapi.c tells them. */
#include "check.h"
#include "fake_iphlpapi.h"
#include "windows/address_watch.h"

enum { PATIENCE_MS = 30000 };

static fake_addresses_fn *fake;
static HANDLE wake;

static bool has4(const struct own_addresses *l, uint8_t last)
{
    ip_addr a = ip_addr_from_ip4((const uint8_t[]){10, 0, 0, last});
    return own_addresses_has(l, &a, FAMILY_IP4);
}

static uint32_t interface_of_link_local(const struct own_addresses *l)
{
    ip_addr a = {.bytes = {0xfe, 0x80, [15] = 1}};
    return own_addresses_interface(l, &a);
}

static struct address_watch *started(void)
{
    struct address_watch *w = address_watch_start(wake);
    CHECK(address_watch_await(w, PATIENCE_MS));
    return w;
}

static void are_there_from_the_start(void)
{
    fake(&(struct fake_addresses){.rows = 2});
    struct address_watch *w = started();
    CHECK(w != NULL);
    struct own_addresses *l = address_watch_take(w);
    CHECK(l && has4(l, 1) && !has4(l, 3) && interface_of_link_local(l) == 8);
    CHECK(address_watch_take(w) == NULL); /* they are no others */
    own_addresses_free(l);
    address_watch_stop(w);
}

/* Waits until the watch has found others. */
static struct own_addresses *changed(struct address_watch *w)
{
    struct own_addresses *l = NULL;
    while (!l && WaitForSingleObject(wake, PATIENCE_MS) == WAIT_OBJECT_0) {
        l = address_watch_take(w);
    }
    return l;
}

static void a_change_is_told(void)
{
    fake(&(struct fake_addresses){.rows = 2});
    struct address_watch *w = started();
    own_addresses_free(address_watch_take(w));
    fake(&(struct fake_addresses){.rows = 4, .tell = 1});
    struct own_addresses *l = changed(w);
    CHECK(l && has4(l, 1) && has4(l, 3));
    CHECK(l && interface_of_link_local(l) == 0); /* two interfaces have it now */
    own_addresses_free(l);
    fake(&(struct fake_addresses){.rows = 0, .tell = 1});
    l = changed(w);
    CHECK(l && !has4(l, 1));
    own_addresses_free(l);
    address_watch_stop(w);
}

static void a_change_is_found_if_nobody_tells(void)
{
    fake(&(struct fake_addresses){.rows = 2, .deaf = 1});
    struct address_watch *w = started();
    own_addresses_free(address_watch_take(w));
    fake(&(struct fake_addresses){.rows = 3, .deaf = 1});
    struct own_addresses *l = changed(w);
    CHECK(l && has4(l, 3));
    own_addresses_free(l);
    address_watch_stop(w);
}

static void what_was_read_last_counts_while_they_cannot_be_read(void)
{
    fake(&(struct fake_addresses){.rows = 2});
    struct address_watch *w = started();
    own_addresses_free(address_watch_take(w));
    fake(&(struct fake_addresses){.rows = 4, .fails = 1, .tell = 1});
    fake(&(struct fake_addresses){.rows = 3, .tell = 1});
    struct own_addresses *l = changed(w);
    CHECK(l && has4(l, 3) && interface_of_link_local(l) == 8); /* never the four */
    own_addresses_free(l);
    address_watch_stop(w);
}

static void a_machine_that_does_not_tell_is_asked_again(void)
{
    fake(&(struct fake_addresses){.rows = 2, .fails = 1});
    struct address_watch *w = address_watch_start(wake);
    CHECK(w && !address_watch_await(w, PATIENCE_MS) && !address_watch_take(w));
    fake(&(struct fake_addresses){.rows = 2, .tell = 1}); /* it does later */
    struct own_addresses *l = changed(w);
    CHECK(l && has4(l, 1));
    own_addresses_free(l);
    address_watch_stop(w);
    CHECK(!address_watch_await(NULL, 0));
    address_watch_stop(NULL);
}

static void s2_the_end_does_not_wait_for_windows(void)
{
    HANDLE hold = CreateEventW(NULL, TRUE, FALSE, NULL);
    fake(&(struct fake_addresses){.rows = 2});
    struct address_watch *w = started();
    fake(&(struct fake_addresses){.rows = 3, .hold = hold, .tell = 1});
    address_watch_stop(w); /* comes back while the table is still held, or nothing here would let it go */
    fake(&(struct fake_addresses){.rows = 3});
    SetEvent(hold);
    CHECK(true);
}

/* S1: nor does a start. */
static void the_start_does_not_wait_for_windows(void)
{
    HANDLE hold = CreateEventW(NULL, TRUE, FALSE, NULL);
    fake(&(struct fake_addresses){.rows = 2, .hold = hold});
    struct address_watch *w = address_watch_start(wake);
    CHECK(w && !address_watch_await(w, 0) && !address_watch_take(w));
    fake(&(struct fake_addresses){.rows = 2});
    SetEvent(hold);
    struct own_addresses *l = address_watch_await(w, PATIENCE_MS) ? address_watch_take(w) : NULL;
    CHECK(l && has4(l, 1));
    own_addresses_free(l);
    address_watch_stop(w);
}

int main(void)
{
    wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    /* That of the system folder, as the library has it: another one lies beside this program. */
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    fake = module ? (fake_addresses_fn *)(void *)GetProcAddress(module, "fake_addresses") : NULL;
    if (!fake || !wake) {
        return 2;
    }
    RUN(are_there_from_the_start);
    RUN(a_change_is_told);
    RUN(a_change_is_found_if_nobody_tells);
    RUN(what_was_read_last_counts_while_they_cannot_be_read);
    RUN(a_machine_that_does_not_tell_is_asked_again);
    RUN(the_start_does_not_wait_for_windows);
    RUN(s2_the_end_does_not_wait_for_windows);
    return checks_done();
}
