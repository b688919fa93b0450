/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is shown of DNS messages: questions, answers, what is wrong with them; and that no byte behind one is looked at. */
#include "dns_messages.h"

#include "../../cli/dns_message.h"

#include <stdio.h>

static struct guarded message, output;

static void expect_sized(const struct message *m, const char *text, uint32_t size)
{
    uint8_t fill[DNS_MESSAGE_TEXT_MAX];
    memset(fill, 'x', sizeof fill);
    uint8_t *bytes = guarded_put(&message, m->bytes, m->length);
    char *out = (char *)guarded_put(&output, fill, size);
    assert_int_equal(dns_message_describe(bytes, m->length, out, size), text != NULL);
    assert_string_equal(out, text ? text : "");
}

static void expect(const struct message *m, const char *text)
{
    expect_sized(m, text, DNS_MESSAGE_TEXT_MAX);
}

static void questions_are_named(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        const char *name, *text;
    } cases[] = {
        {A, "example.org", "A example.org"},
        {AAAA, "example.org", "AAAA example.org"},
        {NS, "", "NS ."},
        {HTTPS, "x.test", "HTTPS x.test"},
        {255, "x.test", "ANY x.test"},
        {4711, "x.test", "TYPE4711 x.test"},
        {A, "UPPER.Test", "A UPPER.Test"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m = question_of(QUERY, 0, cases[i].type, cases[i].name);
        expect(&m, cases[i].text);
        m.bytes[m.length - 1] = 3;
        char other[64];
        snprintf(other, sizeof other, "CLASS3 %s", cases[i].text);
        expect(&m, other);
    }
}

static void names_are_escaped(void **state)
{
    (void)state;
    struct message m = message_of(QUERY, 1, 0);
    add_label(&m, "a.b\\\x1b[2J \"\xff\0", 12);
    add_name(&m, "org");
    add16(&m, A);
    add16(&m, IN);
    expect(&m, "A a\\.b\\\\\\027[2J\\032\"\\255\\000.org");
}

static void answers_are_told(void **state)
{
    (void)state;
    struct message m = question_of(ANSWER, 2, A, "example.org");
    add_a(&m, 1);
    add_a(&m, 2);
    expect(&m, "A example.org -> 192.0.2.1, 192.0.2.2");

    m = question_of(ANSWER, 1, AAAA, "example.org");
    add_record(&m, AAAA, 16);
    add_bytes(&m, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);
    expect(&m, "AAAA example.org -> 2001:db8::7");

    m = question_of(ANSWER, 2, A, "www.example.org");
    add_record(&m, CNAME, 6);
    add_label(&m, "cdn", 3);
    add16(&m, QUESTION_NAME + 4); /* "example.org" of the question */
    add_a(&m, 9);
    expect(&m, "A www.example.org -> CNAME cdn.example.org, 192.0.2.9");

    m = question_of(ANSWER, 3, MX, "example.org");
    add_record(&m, MX, 4);
    add16(&m, 10);
    add16(&m, QUESTION_NAME);
    add_record(&m, SRV, 8);
    add16(&m, 1);
    add16(&m, 2);
    add16(&m, 443);
    add16(&m, QUESTION_NAME);
    add_record(&m, TXT, 9);
    add_label(&m, "a \"b", 4);
    add_label(&m, "\n.c", 3);
    expect(&m, "MX example.org -> 10 example.org, SRV 1 2 443 example.org, TXT \"a \\\"b\" \"\\010.c\"");

    m = question_of(ANSWER, 1, 48, "example.org");
    add_record(&m, 48, 3);
    add_bytes(&m, "key", 3);
    expect(&m, "DNSKEY example.org -> (3 bytes)");
}

static void failures_are_told(void **state)
{
    (void)state;
    static const struct {
        uint32_t flags;
        const char *text;
    } cases[] = {
        {ANSWER | NXDOMAIN, "A x.test -> NXDOMAIN"}, {ANSWER | 1, "A x.test -> FORMERR"},
        {ANSWER | 2, "A x.test -> SERVFAIL"},        {ANSWER | 5, "A x.test -> REFUSED"},
        {ANSWER | 10, "A x.test -> NOTZONE"},        {ANSWER | 11, "A x.test -> RCODE11"},
        {ANSWER, "A x.test -> no records"},          {ANSWER | TRUNCATED, "A x.test -> truncated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m = question_of(cases[i].flags, 0, A, "x.test");
        expect(&m, cases[i].text);
    }
    struct message bare = message_of(ANSWER | 1, 0, 0), m = question_of(ANSWER | NXDOMAIN, 1, A, "x.test");
    expect(&bare, "-> FORMERR");
    add_record(&m, CNAME, 2);
    add16(&m, QUESTION_NAME);
    expect(&m, "A x.test -> CNAME x.test, NXDOMAIN");
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct message m = question_of(ANSWER, 3, A, "x.test");
    add_a(&m, 1);
    uint32_t good = m.length;
    add_a(&m, 2);
    for (uint32_t length = good; length < m.length; length++) { /* cut anywhere */
        struct message cut = m;
        cut.length = length;
        expect(&cut, "A x.test -> 192.0.2.1, malformed");
        cut.bytes[2] |= TRUNCATED >> 8;
        expect(&cut, "A x.test -> 192.0.2.1, truncated");
    }
    expect(&m, "A x.test -> 192.0.2.1, 192.0.2.2, malformed"); /* three were promised */

    m = question_of(ANSWER, 1, A, "x.test");
    add_record(&m, A, 3); /* an address of three bytes */
    add_bytes(&m, "abc", 3);
    expect(&m, "A x.test -> malformed");
    m = question_of(ANSWER, 1, TXT, "x.test");
    add_record(&m, TXT, 3); /* a string that is longer than its record */
    add_bytes(&m, "\x09xyzuvwxyz", 10);
    expect(&m, "TXT x.test -> malformed");
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    struct message m = question_of(QUERY, 0, A, "example.org");
    for (uint32_t length = 0; length < m.length; length++) {
        struct message cut = m;
        cut.length = length;
        expect(&cut, NULL);
    }
    struct message other[] = {message_of(QUERY, 0, 0), message_of(ANSWER, 0, 0), m, m};
    other[2].bytes[5] = 2;    /* two questions */
    other[3].bytes[2] = 0x28; /* an update: RFC 2136 */
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        expect(&other[i], NULL);
    }
    m = message_of(QUERY, 1, 0);
    add_bytes(&m, &(uint8_t){0x40}, 1); /* a label of a kind that nobody uses */
    m.length += 80;
    expect(&m, NULL);
}

/* The name in a question: bytes as they are. */
static void expect_name(const char *bytes, uint32_t size, const char *text)
{
    struct message m = message_of(QUERY, 1, 0);
    add_bytes(&m, bytes, size);
    add16(&m, A);
    add16(&m, IN);
    expect(&m, text);
}

static void pointers_lead_backwards_only(void **state)
{
    (void)state;
    expect_name("\xc0\x0c", 2, NULL);                        /* to itself */
    expect_name("\xc0\x0e", 2, NULL);                        /* forwards */
    expect_name("\x01z\xc0\x0c", 4, NULL);                   /* to the start of its own piece: for ever */
    expect_name("\xc0\x08", 2, NULL);                        /* into the header */
    expect_name("\xff\xff", 2, NULL);                        /* behind the message */
    expect_name("\xc0", 1, NULL);                            /* half of one: then comes the type */
    struct message m = question_of(ANSWER, 1, NS, "x.test"); /* two names that point to each other */
    add_record(&m, NS, 4);
    uint32_t at = m.length;
    add16(&m, 0xc000 | (at + 2));
    add16(&m, 0xc000 | at);
    expect(&m, "NS x.test -> malformed");
}

static void names_are_at_most_255_bytes(void **state)
{
    (void)state;
    for (uint32_t last = 61; last <= 62; last++) { /* 3 * 64 + 1 + 61 + 1 = 255 */
        struct message m = message_of(QUERY, 1, 0);
        char label[63], text[300] = "A ";
        memset(label, 'a', sizeof label);
        for (int i = 0; i < 4; i++) {
            uint32_t size = i < 3 ? 63 : last;
            add_label(&m, label, size);
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? "." : "", (int)size, label);
        }
        add_label(&m, "", 0);
        add16(&m, A);
        add16(&m, IN);
        expect(&m, last == 61 ? text : NULL);
    }
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    (void)state;
    struct message m = question_of(ANSWER, 200, A, "x.test");
    for (uint8_t i = 0; i < 200; i++) {
        add_a(&m, i);
    }
    expect_sized(&m, "A x.test -> ...", 16);
    expect_sized(&m, "A x.test -> ...", 28);
    expect_sized(&m, "A x.test -> 192.0.2.0, ...", 29); /* 21 bytes, and room for " -> ..." and NUL */
    expect_sized(&m, "A x.test -> 192.0.2.0, ...", 39);
    expect_sized(&m, "A x.test -> 192.0.2.0, 192.0.2.1, ...", 40);
    m = question_of(QUERY, 0, A, "long.example.org");
    expect_sized(&m, "A long.e...", 16);
    expect_sized(&m, NULL, 15);
    expect_sized(&m, NULL, 1);
}

static int set_up(void **state)
{
    (void)state;
    message = guarded_new();
    output = guarded_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_free(&message);
    guarded_free(&output);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_named),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(answers_are_told),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(pointers_lead_backwards_only),
        cmocka_unit_test(names_are_at_most_255_bytes),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
    };
    return cmocka_run_group_tests_name("dns_message", tests, set_up, tear_down);
}
