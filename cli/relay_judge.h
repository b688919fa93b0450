/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file relay_judge.h
 * What rules that name hosts say of a connection by the name that the program's first data has: SNI of TLS or QUIC, Host
 * of HTTP (R2). The library judges before, by the name under which the address was looked up, if it has seen that. The
 * relay's thread alone.
 */
#ifndef CLI_RELAY_JUDGE_H
#define CLI_RELAY_JUDGE_H

#include "relay_conn.h"

struct relay_judge;

/** For an outgoing connection whose name may change what the rules in force say of it. NULL: it cannot, or there is no
 * memory. */
struct relay_judge *relay_judge_new(const struct relay_host *host, uint32_t protocol, uint32_t pid,
                                    const redirector_address *destination);

/** What the rules say by that name; *v is as the library fills it in, its `upstream` as the library tells of a connection
 * (routes.h). False: no memory. */
bool relay_judge_by(const struct relay_judge *j, const char *host, redirector_rule_verdict *v);

void relay_judge_free(struct relay_judge *j); /**< NULL is fine */

#endif
