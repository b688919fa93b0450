// SPDX-License-Identifier: LGPL-3.0-or-later
//
// Theory of operation: a ledger of the last LEDGER packets that were received, a ring with a hash
// chain by key. An injection looks for the oldest entry of its key and process that is still open,
// and closes it; if all are closed, it is a second injection; if there is none, the program's own.
// Equal packets (retransmissions) have equal keys and an entry each, so they are told apart by number.
// The entry says at which handle the packet was received, also when another one injects it: a handle
// that replaces a closed one finishes its work.
//
// Order: every captured packet gets a number. Per flow (the tuple as captured) the greatest number
// injected is remembered; a smaller one after it is a packet out of order.
#include "audit.h"

#include <stdbool.h>
#include <string.h>

enum {
    LEDGER = 1 << 18,
    CHAINS = 1 << 17,
    CHAIN_LOOK = 256, // entries of one key that are looked at
    FLOWS = 1 << 16,
    ACCOUNTS = 256,
    NOBODY = 0xffffffff,
};

enum state { FREE, OPEN, CLOSED };

static struct entry {
    uint64_t key, whole, flow, order;
    uint32_t next, previous; // in the chain, newest first; NOBODY: end
    uint32_t account, owner;
    uint32_t epoch;
    enum state state;
    bool on_its_way; // injected, and not seen again by another handle
} ledger[LEDGER];

static uint32_t chains[CHAINS]; // index of the newest entry, plus 1
static uint32_t ledger_end;     // where the next entry goes
static uint32_t epoch;
static uint64_t forgotten, order;

static struct {
    uint64_t flow, order;
} flows[FLOWS];

static struct {
    uint32_t id; // 0: free
    uint32_t owner;
    struct audit_account counts;
} accounts[ACCOUNTS];
static struct audit_account closed, total;
static uint32_t last_id;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t mix_bytes(uint64_t hash, const uint8_t *at, size_t length)
{
    uint64_t word;

    for (; length >= sizeof(word); at += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = mix(hash, word);
    }
    word = length;
    memcpy((uint8_t *)&word + 1, at, length);
    return mix(hash, word);
}

// Everything behind the IP header but ports and the sum.
static uint64_t key_of(const struct packet *packet)
{
    uint64_t hash = mix(packet->protocol, packet->ipv6 != NULL);
    const uint8_t *at = packet->transport;
    uint32_t length = packet->transport_length;
    uint32_t skip = packet->tcp || packet->udp ? 4 : 0;
    uint32_t sum = packet->tcp ? 16 : packet->udp ? 6 : packet->icmp || packet->icmpv6 ? 2 : length;

    if (!at) { // a fragment without header
        at = packet->data + (packet->ip ? (packet->ip[0] & 15) * 4 : 40);
        sum = length = (uint32_t)(packet->data + packet->length - at);
    }
    hash = mix_bytes(hash, at + skip, sum - skip);
    return sum + 2 <= length ? mix_bytes(hash, at + sum + 2, length - sum - 2) : hash;
}

static uint64_t flow_of(const struct packet *packet)
{
    uint32_t addresses[8];
    uint64_t hash = mix(packet->protocol, (uint64_t)packet_port(packet, true) << 16 | packet_port(packet, false));

    packet_address(packet, true, addresses);
    packet_address(packet, false, addresses + 4);
    return mix_bytes(hash, (const uint8_t *)addresses, sizeof(addresses)) | 1; // never 0
}

struct audit_look audit_look(const struct packet *packet, const struct wd_address *address)
{
    uint64_t flags = address->outbound | address->impostor << 1 | address->ip_checksum << 2 |
                     address->tcp_checksum << 3 | address->udp_checksum << 4;

    return (struct audit_look){key_of(packet), mix_bytes(flags, packet->data, packet->length)};
}

// The account's counts; those of a handle that is no more are kept together.
static struct audit_account *account_find(uint32_t id)
{
    for (int i = 0; id && i < ACCOUNTS; i++) {
        if (accounts[i].id == id)
            return &accounts[i].counts;
    }
    return &closed;
}

static uint32_t account_owner(uint32_t id)
{
    for (int i = 0; id && i < ACCOUNTS; i++) {
        if (accounts[i].id == id)
            return accounts[i].owner;
    }
    return 0;
}

uint32_t audit_join(uint32_t owner)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        if (accounts[i].id)
            continue;
        memset(&accounts[i], 0, sizeof(accounts[i]));
        accounts[i].id = ++last_id;
        accounts[i].owner = owner;
        return last_id;
    }
    return 0;
}

static void account_add(struct audit_account *to, const struct audit_account *from)
{
    to->received += from->received;
    to->unchanged += from->unchanged;
    to->changed += from->changed;
    to->twice += from->twice;
    to->reordered += from->reordered;
    to->own += from->own;
}

void audit_leave(uint32_t id)
{
    for (int i = 0; id && i < ACCOUNTS; i++) {
        if (accounts[i].id != id)
            continue;
        account_add(&closed, &accounts[i].counts);
        accounts[i].id = 0;
    }
}

uint64_t audit_order_new(void)
{
    return ++order;
}

static struct entry *chain_first(uint64_t key)
{
    uint32_t newest = chains[key % CHAINS];

    return newest ? &ledger[newest - 1] : NULL;
}

static struct entry *chain_next(const struct entry *entry)
{
    return entry->next == NOBODY ? NULL : &ledger[entry->next];
}

uint64_t audit_order_again(const struct packet *packet)
{
    uint64_t key = key_of(packet);
    int looked = 0;

    for (struct entry *entry = chain_first(key); entry && looked < CHAIN_LOOK; entry = chain_next(entry)) {
        if (entry->key == key && entry->on_its_way && entry->epoch == epoch) {
            entry->on_its_way = false;
            return entry->order;
        }
        looked++;
    }
    return audit_order_new();
}

static void ledger_remove(struct entry *entry)
{
    if (entry->state == OPEN)
        forgotten++;
    if (entry->previous == NOBODY)
        chains[entry->key % CHAINS] = entry->next == NOBODY ? 0 : entry->next + 1;
    else
        ledger[entry->previous].next = entry->next;
    if (entry->next != NOBODY)
        ledger[entry->next].previous = entry->previous;
    entry->state = FREE;
}

void audit_received(uint32_t account, const struct packet *packet, const struct wd_address *address, uint64_t place)
{
    struct entry *entry = &ledger[ledger_end];
    struct audit_look look = audit_look(packet, address);
    uint32_t *newest = &chains[look.key % CHAINS];

    if (!account)
        return;
    account_find(account)->received++;
    total.received++;
    if (entry->state != FREE)
        ledger_remove(entry);
    *entry = (struct entry){
        .key = look.key,
        .whole = look.whole,
        .flow = flow_of(packet),
        .order = place,
        .next = *newest ? *newest - 1 : NOBODY,
        .previous = NOBODY,
        .account = account,
        .owner = account_owner(account),
        .epoch = epoch,
        .state = OPEN,
    };
    if (*newest)
        ledger[*newest - 1].previous = ledger_end;
    *newest = ledger_end + 1;
    ledger_end = (ledger_end + 1) % LEDGER;
}

static bool overtaken(const struct entry *entry)
{
    uint64_t slot = entry->flow % FLOWS;
    bool late = flows[slot].flow == entry->flow && entry->order < flows[slot].order;

    if (!late) {
        flows[slot].flow = entry->flow;
        flows[slot].order = entry->order;
    }
    return late;
}

static void settle(struct entry *entry, const struct audit_look *look)
{
    struct audit_account one = {0};

    entry->state = CLOSED;
    entry->on_its_way = true;
    one.reordered = overtaken(entry);
    if (entry->whole == look->whole)
        one.unchanged = 1;
    else
        one.changed = 1;
    if (entry->epoch != epoch)
        return;
    account_add(account_find(entry->account), &one);
    account_add(&total, &one);
}

void audit_injected(uint32_t account, const struct audit_look *look)
{
    uint32_t owner = account_owner(account);
    struct entry *open = NULL, *done = NULL;
    int looked = 0;

    if (!account)
        return;
    for (struct entry *entry = chain_first(look->key); entry && looked < CHAIN_LOOK; entry = chain_next(entry)) {
        looked++;
        if (entry->key != look->key || entry->owner != owner)
            continue;
        if (entry->state == OPEN)
            open = entry; // the last one found is the oldest
        else if (!done && entry->epoch == epoch)
            done = entry;
    }
    if (open) {
        settle(open, look);
    } else if (done) {
        account_find(done->account)->twice++;
        total.twice++;
    } else {
        account_find(account)->own++;
        total.own++;
    }
}

void audit_reset(void)
{
    static const struct audit_account none;

    for (int i = 0; i < ACCOUNTS; i++)
        accounts[i].counts = none;
    closed = total = none;
    forgotten = 0;
    epoch++;
}

static void print(FILE *out, const struct audit_account *account)
{
    fprintf(out,
            "\"received\":%llu,\"unchanged\":%llu,\"changed\":%llu,\"never_injected\":%llu,\"injected_twice\":%llu,"
            "\"reordered\":%llu,\"own\":%llu",
            (unsigned long long)account->received, (unsigned long long)account->unchanged,
            (unsigned long long)account->changed,
            (unsigned long long)(account->received - account->unchanged - account->changed),
            (unsigned long long)account->twice, (unsigned long long)account->reordered,
            (unsigned long long)account->own);
}

void audit_print_account(FILE *out, uint32_t account)
{
    static const struct audit_account none;

    print(out, account ? account_find(account) : &none);
}

void audit_print(FILE *out)
{
    fputs("\"total\":{", out);
    print(out, &total);
    fprintf(out, ",\"forgotten\":%llu},\"closed\":{", (unsigned long long)forgotten);
    print(out, &closed);
    fputc('}', out);
}
