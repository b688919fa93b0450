/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file table_feed.h  Hands in to the engine what the tables of sockets have, a slice at a time. The engine's thread. */
#ifndef TABLE_FEED_H
#define TABLE_FEED_H

#include "service_internal.h"

/** Answers the engine's host.read_table() and read_udp_table(). */
void table_feed_begin(struct table_feed *feed, const struct table_wanted *wanted);

/**
 * Hands in the next slice of a reading that has ended, of either table. true: there is more, and packets should get
 * their turn now.
 */
bool table_feed_slice(redirector *r);

/** At the start, while no packet waits: waits for the readings, for a moment at most, and hands them in as a whole. */
void table_feed_at_start(redirector *r);

#endif
