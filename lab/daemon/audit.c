/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a ledger of the last LEDGER packets that were received, a ring with a hash
 * chain by key. An injection looks for the oldest entry of its key and process that is still open,
 * and closes it; if all are closed, it is a second injection; if there is none, the program's own.
 * Equal packets (retransmissions) have equal keys and an entry each, so they are told apart by number.
 * The entry says at which handle the packet was received, also when another one injects it: a handle
 * that replaces a closed one finishes its work. But what the injecting handle has received comes first.
 *
 * Order: every captured packet gets a number, which is kept with the handle that takes the packet until
 * it is received there (takings.c). Per flow (the tuple as captured) the greatest number injected is
 * remembered; a smaller one after it is a packet out of order. A packet that was injected and is taken by
 * a handle below keeps its number; until it is received there, it is under way. But that it was injected
 * may be told after its reception: then the reception is early, and what is told is not taken for the
 * injection of what was received.
 */
#include "audit.h"

#include <string.h>

#include "takings.h"

enum {
    LEDGER = 1 << 18,
    CHAINS = 1 << 17,
    CHAIN_LOOK = 256, /* entries of one key that are looked at */
    FLOWS = 1 << 16,
    ACCOUNTS = 256,
    EARLY = 256,
    NOBODY = 0xffffffff,
};

enum state { FREE, OPEN, CLOSED };

static struct entry {
    uint64_t key, whole, flow, order;
    uint32_t next, previous; /* in the chain, newest first; NOBODY: end */
    uint32_t account, owner;
    uint32_t epoch;
    enum state state;
} ledger[LEDGER];

static struct takings under_way; /* injected and diverted by a handle below */
static struct {
    uint64_t key;
    uint32_t entry; /* in the ledger */
    bool used;
} early[EARLY];
static uint32_t early_end;

static uint32_t chains[CHAINS]; /* index of the newest entry, plus 1 */
static uint32_t ledger_end;     /* where the next entry goes */
static uint32_t epoch;
static uint64_t forgotten, order;

static struct {
    uint64_t flow, order;
} flows[FLOWS];

static struct {
    uint32_t id; /* 0: free */
    uint32_t owner;
    struct audit_account counts;
    struct takings takings;
} accounts[ACCOUNTS];
static struct audit_account closed, total;
static uint32_t last_id;

static int account_index(uint32_t id)
{
    for (int i = 0; id && i < ACCOUNTS; i++) {
        if (accounts[i].id == id) {
            return i;
        }
    }
    return -1;
}

/* The account's counts; those of a handle that is no more are kept together. */
static struct audit_account *account_find(uint32_t id)
{
    int index = account_index(id);

    return index < 0 ? &closed : &accounts[index].counts;
}

static uint32_t account_owner(uint32_t id)
{
    int index = account_index(id);

    return index < 0 ? 0 : accounts[index].owner;
}

uint32_t audit_join(uint32_t owner)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        if (accounts[i].id) {
            continue;
        }
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
    int index = account_index(id);

    if (index < 0) {
        return;
    }
    account_add(&closed, &accounts[index].counts);
    takings_free(&accounts[index].takings);
    accounts[index].id = 0;
}

void audit_taken(uint32_t account, uint64_t key, uint64_t place)
{
    int index = account_index(account);

    if (index >= 0) {
        takings_add(&accounts[index].takings, key, place);
    }
}

bool audit_find_taken(uint32_t account, uint64_t key, uint64_t *place)
{
    int index = account_index(account);

    return index >= 0 && takings_join(&accounts[index].takings, key, place);
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

/*
 * The oldest packet of this key, but for that one, which the account's process (0: any) has received and not
 * injected; what the account's handle itself has received comes first.
 */
static struct entry *oldest_open(uint64_t key, uint32_t account, const struct entry *but)
{
    uint32_t owner = account_owner(account);
    struct entry *here = NULL, *anywhere = NULL;
    int looked = 0;

    for (struct entry *entry = chain_first(key); entry && looked < CHAIN_LOOK; entry = chain_next(entry)) {
        looked++;
        if (entry->key != key || entry->state != OPEN || entry == but || (account && entry->owner != owner)) {
            continue;
        }
        anywhere = entry; /* the last one found is the oldest */
        if (entry->account == account) {
            here = entry;
        }
    }
    return here ? here : anywhere;
}

/* The number of a packet that has been injected; true: which is not told yet. */
static bool order_again(uint64_t key, uint64_t *place)
{
    const struct entry *open;

    if (takings_join(&under_way, key, place)) {
        return false;
    }
    open = oldest_open(key, 0, NULL);
    *place = open ? open->order : audit_order_new();
    return true;
}

static void early_add(uint64_t key, uint32_t entry)
{
    early[early_end].key = key;
    early[early_end].entry = entry;
    early[early_end].used = true;
    early_end = (early_end + 1) % EARLY;
}

/* The oldest reception of this key that was told before the injection. NULL: none. */
static struct entry *early_take(uint64_t key)
{
    for (uint32_t i = 0; i < EARLY; i++) {
        uint32_t at = (early_end + i) % EARLY;

        if (early[at].used && early[at].key == key) {
            early[at].used = false;
            return &ledger[early[at].entry];
        }
    }
    return NULL;
}

static void ledger_remove(struct entry *entry)
{
    if (entry->state == OPEN) {
        forgotten++;
    }
    if (entry->previous == NOBODY) {
        chains[entry->key % CHAINS] = entry->next == NOBODY ? 0 : entry->next + 1;
    } else {
        ledger[entry->previous].next = entry->next;
    }
    if (entry->next != NOBODY) {
        ledger[entry->next].previous = entry->previous;
    }
    entry->state = FREE;
}

void audit_received(uint32_t account, const struct packet *packet, const struct wd_address *address, uint64_t place)
{
    struct entry *entry = &ledger[ledger_end];
    struct audit_look look = audit_look(packet, address);
    uint32_t *newest;

    if (!account) {
        return;
    }
    if (place == AUDIT_AGAIN && order_again(look.key, &place)) {
        early_add(look.key, ledger_end);
    }
    account_find(account)->received++;
    total.received++;
    if (entry->state != FREE) {
        ledger_remove(entry);
    }
    newest = &chains[look.key % CHAINS];
    *entry = (struct entry){
        .key = look.key,
        .whole = look.whole,
        .flow = audit_flow(packet),
        .order = place,
        .next = *newest ? *newest - 1 : NOBODY,
        .previous = NOBODY,
        .account = account,
        .owner = account_owner(account),
        .epoch = epoch,
        .state = OPEN,
    };
    if (*newest) {
        ledger[*newest - 1].previous = ledger_end;
    }
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
    one.reordered = overtaken(entry);
    if (entry->whole == look->whole) {
        one.unchanged = 1;
    } else {
        one.changed = 1;
    }
    if (entry->epoch != epoch) {
        return;
    }
    account_add(account_find(entry->account), &one);
    account_add(&total, &one);
}

/* The last one of this key and the account's process, but for that one, that has been injected. */
static const struct entry *last_closed(uint64_t key, uint32_t account, const struct entry *but)
{
    uint32_t owner = account_owner(account);
    int looked = 0;

    for (struct entry *entry = chain_first(key); entry && looked < CHAIN_LOOK; entry = chain_next(entry)) {
        looked++;
        if (entry->key == key && entry != but && entry->owner == owner && entry->state == CLOSED &&
            entry->epoch == epoch) {
            return entry;
        }
    }
    return NULL;
}

void audit_given_back(uint32_t account, uint64_t key)
{
    uint64_t place;

    if (!audit_find_taken(account, key, &place) || place == AUDIT_AGAIN) {
        place = audit_order_new();
    }
    if (!early_take(key)) {
        takings_add(&under_way, key, place);
    }
}

void audit_injected(uint32_t account, const struct audit_look *look, bool absorbed)
{
    const struct entry *received = absorbed ? early_take(look->key) : NULL, *done;
    struct entry *open;

    if (!account) {
        return;
    }
    open = oldest_open(look->key, account, received);
    if (absorbed && !received) {
        takings_add(&under_way, look->key, open ? open->order : audit_order_new());
    }
    if (open) {
        settle(open, look);
    } else if ((done = last_closed(look->key, account, received)) != NULL) {
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

    for (int i = 0; i < ACCOUNTS; i++) {
        accounts[i].counts = none;
    }
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
