/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The daemon's event loop: one thread, level-triggered epoll.
 */
#ifndef LAB_LOOP_H
#define LAB_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void loop_fn(void *context, int fd);

/* Calls fn whenever fd is readable or at its end. Exits the program if that cannot be arranged. */
void loop_add(int fd, loop_fn *fn, void *context);
void loop_remove(int fd);

/*
 * A listening socket under an abstract name (bytes, without the leading 0), of which fn is told. Exits the program if it
 * cannot be had; `what` says what is lacking then.
 */
int loop_listen(const char *name, size_t length, loop_fn *fn, const char *what);

/* Stops and resumes the calls of fn. */
void loop_pause(int fd, bool paused);

/* fn is called while the descriptor is writable and loop_want_write has asked for it. */
void loop_on_writable(int fd, loop_fn *fn);
void loop_want_write(int fd, bool wanted);

/* Called after each round of handlers, before the loop waits again. */
void loop_at_round_end(void (*fn)(void));

/* Runs until loop_stop. */
void loop_run(void);
void loop_stop(void);

/* Milliseconds and performance-counter ticks (100 ns, the clock of Wine's counter) that only grow. */
int64_t loop_now_ms(void);
int64_t loop_ticks(void);

#endif
