/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file rules.h
 * Rules: whose connections to where are redirected, passed or blocked (I4, R1).
 *
 * A rule names who (a process by pid, or by a pattern of its image), and to where (protocol, direction, addresses,
 * ports, the name of the host, the owner of the listener on this machine that is reached). All that it names must
 * match, and of the rules that match the last one wins.
 *
 *   names         applies to
 *   who           that process, of the tree or not; and without a where it says whether the process is *in scope*
 *   no who        processes in scope: those of the tree, as the rules before this one that name only who have it
 *   listener      without a who: any process
 *
 * Where none matches, connections of processes in scope are redirected, and all others pass. The end that rules speak
 * of is the other one: the destination of an outgoing connection, the peer of an incoming one; the port is always that
 * which the connection goes to.
 *
 * Rules are compiled as they are added, and texts are matched once: what patterns say of a path or a name is kept.
 */
#ifndef ENGINE_RULES_H
#define ENGINE_RULES_H

#include "types.h"

enum { RULES_MAX = 256 };

#define RULE_NONE UINT32_MAX

enum rule_action { RULE_PASS, RULE_REDIRECT, RULE_BLOCK };

enum rule_direction { RULE_BOTH_WAYS, RULE_OUTGOING, RULE_INCOMING };

/** What a rule says. Zero it, and fill in what it names; the texts are copied. */
struct rule {
    enum rule_action action;
    enum rule_direction direction;
    uint8_t protocol;               /* PROTOCOL_TCP or PROTOCOL_UDP; 0: either */
    uint8_t prefix_length;          /* of `network`, in bits: at most 32 or 128 */
    uint16_t first_port, last_port; /* both 0: any port */
    uint32_t family;                /* of `network`; FAMILY_NONE: any address */
    ip_addr network;                /* bits behind the prefix do not count */
    uint32_t pid;                   /* 0: any process */
    uint32_t upstream;              /* of the caller's; comes with the verdict */
    const char *program;            /* pattern.h; NULL: any process */
    const char *listener;           /* likewise, of who listens at the other end on this machine; NULL: whoever */
    const char *host;               /* pattern of the other end's name; NULL: any, and none */
};

/** A connection to be judged. Texts that are not known are "", and match no pattern. */
struct rule_case {
    bool in_tree;
    uint32_t pid;
    const char *path;              /* of the process' image */
    uint8_t protocol;              /* PROTOCOL_TCP or PROTOCOL_UDP */
    enum rule_direction direction; /* RULE_OUTGOING or RULE_INCOMING */
    uint32_t family;               /* FAMILY_NONE: only who is asked about, and rules that name a where are left out */
    ip_addr address;               /* of the other end */
    uint16_t port;                 /* that the connection goes to */
    const char *listener;
    const char *host;
};

struct rule_verdict {
    enum rule_action action;
    uint32_t rule;     /* which one decided; RULE_NONE: the tree alone */
    uint32_t upstream; /* that rule's */
};

struct rules;

struct rules *rules_new(void); /* NULL: no memory */
void rules_free(struct rules *r);

/** Adds a rule behind the others. NULL, or what is wrong with it; then nothing has changed. */
const char *rules_add(struct rules *r, const struct rule *rule);

/** Whether any rule asks for: paths of processes; where a connection goes; paths of listeners' owners; hosts' names. */
bool rules_want_path(const struct rules *r);
bool rules_want_place(const struct rules *r);
bool rules_want_listener(const struct rules *r);
bool rules_want_host(const struct rules *r);

/** Whether any rule is narrowed to listeners of an owner with this path. */
bool rules_know_listener(struct rules *r, const char *path);

/**
 * Whether some connection of this process, of this protocol and direction, may be anything but passed. Of the case,
 * where it goes does not count.
 */
bool rules_may_concern(struct rules *r, const struct rule_case *c);

/** The rules' word. r == NULL: there are none. It keeps what it found of texts: one thread. */
struct rule_verdict rules_judge(struct rules *r, const struct rule_case *c);

#endif
