/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a session asks for. Of DNS (port 53) each question is kept, and its answer takes its place: "A example.org ->
 * 192.0.2.1; AAAA example.org". When there are more than there is room for, the oldest goes. Of QUIC it is the server's
 * name, from the first datagrams of the client; what is no QUIC is found out by the first.
 *
 * Where rules name hosts, the library is told what an answer of DNS says, before the program gets it (R2). An answer counts
 * if a question of its id was sent there and has not been answered: anybody can send one that pretends to come from there,
 * and what a resolver would not take is not taken here.
 *
 * The name of QUIC's server may change what rules say (relay_judge.h): it is looked for before the datagram is passed on.
 */
#include "relay_udp_internal.h"

#include "dns_addresses.h"
#include "dns_message.h"
#include "host_name.h"

#include <stdio.h>
#include <string.h>

static const char separator[] = "; ", arrow[] = " -> ";

/* The length of the question at the beginning of a text. */
static size_t question_length(const char *text)
{
    const char *end = strstr(text, arrow);
    return end ? (size_t)(end - text) : strlen(text);
}

/* Takes out the first entry that is about the same question as `text`, or with NULL the first one. */
static void take_out(char *all, const char *text)
{
    size_t wanted = text ? question_length(text) : 0;
    for (char *entry = all, *next; *entry; entry = next) {
        char *end = strstr(entry, separator);
        size_t length = end ? (size_t)(end - entry) : strlen(entry);
        next = end ? end + sizeof separator - 1 : entry + length;
        if (!text || (length >= wanted && memcmp(entry, text, wanted) == 0 &&
                      (length == wanted || memcmp(entry + wanted, arrow, sizeof arrow - 1) == 0))) {
            memmove(entry, next, strlen(next) + 1);
            break;
        }
    }
    size_t left = strlen(all); /* the last one may be gone, and its separator stands */
    if (left >= sizeof separator - 1 && strcmp(all + left - (sizeof separator - 1), separator) == 0) {
        all[left - (sizeof separator - 1)] = '\0';
    }
}

static void add(char all[REPORT_DNS_MAX], const char *text)
{
    take_out(all, text);
    while (*all && strlen(all) + sizeof separator - 1 + strlen(text) >= REPORT_DNS_MAX) {
        take_out(all, NULL);
    }
    size_t used = strlen(all);
    snprintf(all + used, REPORT_DNS_MAX - used, "%s%s", used ? separator : "", text);
}

static void dns_heard(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    char text[REPORT_DNS_MAX];
    if (s->entry && dns_message_describe(data, length, text, sizeof text)) {
        report_dns(s->udp->host->report, s->entry, text, add);
    }
}

static void note_question(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    uint16_t id;
    if (dns_id(data, length, false, &id)) {
        s->dns_asked[s->dns_asked_count++ % DNS_ASKED_MAX] = id;
    }
}

/* Whether it answers a question that waits; it does so no more. */
static bool take_question(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    uint16_t id;
    uint32_t count = s->dns_asked_count < DNS_ASKED_MAX ? s->dns_asked_count : DNS_ASKED_MAX;
    if (!dns_id(data, length, true, &id)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (s->dns_asked[i] == id) {
            s->dns_asked[i] = s->dns_asked[count - 1]; /* the order is lost, and with it only which one goes first */
            s->dns_asked_count = count - 1;
            return true;
        }
    }
    return false;
}

void udp_name_sent(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    char name[HOST_NAME_MAX_BYTES];
    if (s->destination.port == DNS_PORT) {
        note_question(s, data, length);
        dns_heard(s, data, length);
        return;
    }
    if (!s->asked && s->udp->crypto) {
        s->quic = quic_initial_new(s->udp->crypto);
    }
    s->asked = true;
    if (!s->quic) {
        return;
    }
    bool found = quic_initial_server_name(data, length, s->quic, name, sizeof name);
    if (found && s->entry) {
        report_host(s->udp->host->report, s->entry, name);
    }
    if (found && s->judge) {
        udp_session_judge(s, name);
    }
    if (found || quic_initial_done(s->quic)) {
        udp_name_free(s);
    }
}

void udp_name_answered(struct udp_session *s, const uint8_t *data, uint32_t length)
{
    if (s->destination.port == DNS_PORT) {
        if (take_question(s, data, length) && rules_state_names_hosts(s->udp->host->rules)) {
            relay_tell_names(s->udp->host, data, length);
        }
        dns_heard(s, data, length);
    }
}

void udp_name_free(struct udp_session *s)
{
    quic_initial_free(s->quic);
    relay_judge_free(s->judge);
    s->quic = NULL;
    s->judge = NULL;
}
