/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file ppx_profile.h  A profile of Proxifier as it was read. Inside of ppx. */
#ifndef CLI_PPX_PROFILE_H
#define CLI_PPX_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PPX_PROXIES_MAX = 64, PPX_CHAINS_MAX = 64, PPX_CHAIN_MAX = 16, PPX_RULES_MAX = 256, PPX_BYTES_MAX = 1 << 20 };

struct ppx_proxy {
    uint32_t id, port;
    char type[16], address[256], user[128];
    bool login; /* it wants a user and a password */
};

struct ppx_chain {
    uint32_t id;
    char type[24];
    uint32_t proxies[PPX_CHAIN_MAX]; /* ids of those that are on */
    uint32_t count;
    bool too_long;
};

struct ppx_rule {
    bool on;
    char *name, *applications, *targets, *ports; /* NULL: none */
    char action[16];
    uint32_t to; /* id of a proxy or a chain */
};

struct ppx_profile {
    struct ppx_proxy proxies[PPX_PROXIES_MAX];
    struct ppx_chain chains[PPX_CHAINS_MAX];
    struct ppx_rule rules[PPX_RULES_MAX];
    uint32_t proxy_count, chain_count, rule_count;
};

/** false: `wrong` says why. ppx_profile_free() in any case. */
bool ppx_profile_read(const void *bytes, size_t size, struct ppx_profile *out, char wrong[160]);
void ppx_profile_free(struct ppx_profile *p);

#endif
