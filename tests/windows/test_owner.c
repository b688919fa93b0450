/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Owners of sockets, from the fixed tables of fake_iphlpapi.c. */
#include "check.h"
#include "windows/table_reader.h"
#include "windows/udptable.h"

#include <string.h>
#include <windows.h>

static struct tcptable *table;

static ip_addr ip4(uint8_t a, uint8_t d)
{
    return ip_addr_from_ip4((const uint8_t[]){a, 0, 0, d});
}

static struct tuple tuple4(ip_addr src, uint16_t src_port, uint16_t dst_port)
{
    return (struct tuple){src, ip4(127, 1), be16_from_host(src_port), be16_from_host(dst_port), FAMILY_IP4, 0};
}

static uint32_t owner_of(const struct tuple *t)
{
    uint32_t pid = 0;
    CHECK(tcptable_read(table, true));
    tcptable_owners(table, t, 1, &pid);
    return pid;
}

static void finds_the_owner(void)
{
    struct tuple t = tuple4(ip4(127, 1), 5000, 80);
    CHECK(owner_of(&t) == 300); /* not the old connection's, which belongs to nobody */
    t = tuple_reversed(&t);
    CHECK(owner_of(&t) == 200); /* not the listener's */
    t = tuple4(ip4(10, 2), 5000, 80);
    CHECK(owner_of(&t) == 400);
}

static void tells_families_apart(void)
{
    struct tuple t = {ip_addr_loopback(FAMILY_IP6),
                      ip_addr_loopback(FAMILY_IP6),
                      be16_from_host(5000),
                      be16_from_host(80),
                      FAMILY_IP6,
                      0};
    CHECK(owner_of(&t) == 600);
}

/* One address behind two interfaces; the second row's scope is written the other way round. */
static void tells_interfaces_apart(void)
{
    ip_addr here = {.bytes = {0xfe, 0x80, [15] = 1}}, there = {.bytes = {0xfe, 0x80, [15] = 2}};
    struct tuple t = {here, there, be16_from_host(5000), be16_from_host(80), FAMILY_IP6, 4};
    CHECK(owner_of(&t) == 601);
    t.scope = 5;
    CHECK(owner_of(&t) == 602);
    t.scope = 6;
    CHECK(owner_of(&t) == 0);
    t.scope = 0; /* over loopback: any */
    CHECK(owner_of(&t) == 601);
}

/* More than are looked for at a time, of both families, some of them asked for twice. */
static void answers_many_questions_at_once(void)
{
    enum { MANY = 3000 };
    static struct tuple questions[MANY];
    static uint32_t pids[MANY];
    for (int i = 0; i < MANY; i++) {
        questions[i] = tuple4(ip4(127, 1), 5000, (uint16_t)(i % 3 ? 80 : 81));
        if (i % 5 == 0) {
            questions[i] = (struct tuple){ip_addr_loopback(FAMILY_IP6),
                                          ip_addr_loopback(FAMILY_IP6),
                                          be16_from_host(5000),
                                          be16_from_host(80),
                                          FAMILY_IP6,
                                          0};
        }
    }
    CHECK(tcptable_read(table, true));
    tcptable_owners(table, questions, MANY, pids);
    for (int i = 0; i < MANY; i++) {
        CHECK(pids[i] == (i % 5 == 0 ? 600u : i % 3 ? 300u : 0u));
    }
    struct tuple t = tuple4(ip4(10, 2), 5000, 80);
    CHECK(owner_of(&t) == 400); /* nothing is left of them */
}

static void does_not_know_strangers(void)
{
    struct tuple t = tuple4(ip4(127, 1), 5001, 80);
    CHECK(owner_of(&t) == 0);
    t = tuple4(ip4(127, 2), 5000, 80);
    CHECK(owner_of(&t) == 0);
}

struct seen {
    int count;
    uint32_t pid[3];
    bool wrong;
};

static void note_listener(struct seen *seen, const struct tuple *t, uint32_t pid)
{
    uint16_t port = be16_to_host(t->src_port);
    bool any = ip_addr_is_any(&t->src, t->family);
    if (t->dst_port.wire || !ip_addr_is_any(&t->dst, t->family)) {
        seen->wrong = true;
    }
    if (seen->count < 3) {
        seen->pid[seen->count] = pid;
    }
    if (!(pid == 100 && port == 80 && !any) && !(pid == 500 && port == 8080 && any && t->family == FAMILY_IP4) &&
        !(pid == 700 && port == 8081 && any && t->family == FAMILY_IP6)) {
        seen->wrong = true;
    }
    seen->count++;
}

static void note_other(struct seen *seen, const struct tuple *t, uint32_t pid)
{
    seen->count++;
    seen->pid[0] += pid;
    seen->wrong |= t->family == FAMILY_IP6 && (pid < 600 || t->scope != (pid == 600 ? 0 : pid - 597));
}

static void lists_all_sockets_of_both_families(void)
{
    struct seen listeners = {0}, others = {0};
    struct tcptable_row row;
    CHECK(tcptable_read(table, true));
    while (tcptable_next(table, &row)) {
        (row.listens ? note_listener : note_other)(row.listens ? &listeners : &others, &row.tuple, row.pid);
    }
    CHECK(listeners.count == 3 && !listeners.wrong);
    CHECK(listeners.pid[0] == 100 && listeners.pid[1] == 500 && listeners.pid[2] == 700);
    CHECK(others.count == 7 && others.pid[0] == 0 + 200 + 300 + 400 + 600 + 601 + 602 && !others.wrong);
    CHECK(!tcptable_next(table, &row));
}

/* A reader's answers, and its end while it reads. */
static void reads_on_a_thread_of_its_own(void)
{
    HANDLE wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    struct table_reader *reader = table_reader_start(wake, PROTOCOL_TCP);
    CHECK(reader);
    CHECK(!table_reader_has_answer(reader, 0));
    for (int round = 0; round < 100; round++) {
        struct tuple t = round % 2 ? tuple4(ip4(127, 1), 5000, 80) : tuple4(ip4(127, 1), 5001, 80);
        struct table_wanted wanted = {&t, 1, round % 2};
        struct tcptable_row row;
        int rows = 0;
        table_reader_ask(reader, &wanted);
        CHECK(WaitForSingleObject(wake, 10000) == WAIT_OBJECT_0);
        CHECK(table_reader_has_answer(reader, 10000) && table_reader_is_whole(reader));
        CHECK(table_reader_has_sockets(reader) == round % 2);
        CHECK(table_reader_owners(reader)[0] == (round % 2 ? 300u : 0u));
        for (; table_reader_next(reader, &row); rows++) {
        }
        CHECK(rows == 10);
        table_reader_done(reader);
        CHECK(!table_reader_has_answer(reader, 0));
    }
    table_reader_ask(reader, &(struct table_wanted){.sockets = true});
    table_reader_stop(reader);
    table_reader_stop(NULL);
    CloseHandle(wake);
}

static void lists_udp_sockets(void)
{
    static const struct {
        uint32_t pid, family, scope;
        uint16_t port;
        uint8_t first, last; /* bytes of the address: of IPv4 its own */
    } expected[] = {
        {800, FAMILY_IP4, 0, 53, 127, 1}, {801, FAMILY_IP4, 0, 53, 0, 0},      {802, FAMILY_IP4, 0, 5000, 10, 2},
        {900, FAMILY_IP6, 0, 53, 0, 0},   {901, FAMILY_IP6, 4, 5000, 0xfe, 1}, {902, FAMILY_IP6, 0, 5000, 0, 1},
    };
    struct udptable *udp = udptable_open();
    struct tuple t;
    uint32_t pid;
    CHECK(udp);
    for (int round = 0; udp && round < 2; round++) { /* first it has to be taken several times */
        CHECK(udptable_read(udp));
        for (int i = 0; i < 6; i++) {
            CHECK(udptable_next(udp, &t, &pid));
            CHECK(pid == expected[i].pid && t.family == expected[i].family && t.scope == expected[i].scope);
            CHECK(be16_to_host(t.src_port) == expected[i].port && t.dst_port.wire == 0);
            CHECK(t.src.bytes[t.family == FAMILY_IP4 ? 12 : 0] == expected[i].first);
            CHECK(t.src.bytes[15] == expected[i].last && ip_addr_is_any(&t.dst, t.family));
        }
        CHECK(!udptable_next(udp, &t, &pid));
    }
    udptable_close(udp);
    udptable_close(NULL);
}

static void udp_on_a_thread_of_its_own(void)
{
    HANDLE wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    struct table_reader *reader = table_reader_start(wake, PROTOCOL_UDP);
    CHECK(reader);
    for (int round = 0; reader && round < 20; round++) {
        struct tcptable_row row;
        uint32_t pids = 0;
        table_reader_ask(reader, &(struct table_wanted){.sockets = true});
        CHECK(WaitForSingleObject(wake, 10000) == WAIT_OBJECT_0);
        CHECK(table_reader_has_answer(reader, 10000) && table_reader_is_whole(reader));
        while (table_reader_next(reader, &row)) {
            CHECK(!row.listens);
            pids += row.pid;
        }
        CHECK(pids == 800 + 801 + 802 + 900 + 901 + 902);
        table_reader_done(reader);
    }
    table_reader_stop(reader);
    CloseHandle(wake);
}

/* A table that tells of more rows than there is room for: no more are read than that. */
static void believes_a_table_as_far_as_its_buffer_goes(void)
{
    static const LONG lies[] = {1 << 20, 0x7fffffff, -1};
    FARPROC found = GetProcAddress(GetModuleHandleA("iphlpapi.dll"), "fake_row_count");
    void (*told)(LONG);
    memcpy(&told, &found, sizeof told);
    CHECK(found);
    struct udptable *udp = udptable_open();
    for (int i = 0; found && udp && i < 3; i++) {
        struct tcptable_row row;
        struct tuple t;
        uint32_t pid = 0, rows = 0, others = 0;
        told(lies[i]);
        CHECK(udptable_read(udp) && tcptable_read(table, true));
        told(0);
        for (; udptable_next(udp, &t, &pid); rows++) {
        }
        for (; tcptable_next(table, &row); others++) {
        }
        CHECK(rows >= 6 && rows < 10000 && others >= 10 && others < 10000);
        t = tuple4(ip4(127, 1), 5000, 80);
        pid = 0;
        tcptable_owners(table, &t, 1, &pid);
        CHECK(pid == 300);
    }
    udptable_close(udp);
}

int main(void)
{
    table = tcptable_open();
    if (!table) {
        return 2;
    }
    RUN(finds_the_owner); /* first: its snapshot has to be taken several times */
    RUN(tells_families_apart);
    RUN(tells_interfaces_apart);
    RUN(answers_many_questions_at_once);
    RUN(does_not_know_strangers);
    RUN(lists_all_sockets_of_both_families);
    RUN(reads_on_a_thread_of_its_own);
    RUN(lists_udp_sockets);
    RUN(udp_on_a_thread_of_its_own);
    RUN(believes_a_table_as_far_as_its_buffer_goes);
    tcptable_close(table);
    return checks_done();
}
