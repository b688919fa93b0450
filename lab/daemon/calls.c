/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a message is one record, and so is the answer. What cannot be understood ends the
 * connection: its other end waits for an answer that nobody could give.
 */
#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi.h"
#include "ale.h"
#include "capture.h"
#include "loop.h"
#include "records.h"
#include "wants_others.h"
#include "winpid.h"

enum { CALL_MAX = sizeof(struct lab_opening) + WD_FILTER_MAX * sizeof(struct wd_filter_object) };

static void opening(const struct lab_opening *opening, const uint8_t *objects, uint32_t length)
{
    struct wants_filter filter = {.count = opening->tests};

    if (opening->layer == WD_SOCKET) {
        ale_opening();
    }
    if (opening->layer != WD_NETWORK || !opening->matches) {
        return;
    }
    if (wants_load(&filter, objects, length) && wants_others(&filter)) {
        capture_others();
    }
}

/* The answer in place of the call; its size, or 0. */
static uint32_t answer(struct lab_head *head)
{
    const uint8_t *data;
    uint32_t length;

    if (head->type == LAB_PROCESS && head->size == sizeof(struct lab_process)) {
        struct lab_process *process = (struct lab_process *)head;

        process->linux_pid = winpid_to_linux(process->windows_pid);
        return sizeof(*process);
    }
    if (head->type == LAB_OPENING && record_data(head, sizeof(struct lab_opening), &data, &length)) {
        opening((struct lab_opening *)head, data, length);
        head->size = sizeof(*head);
        return sizeof(*head);
    }
    return 0;
}

static void calls_readable(void *context, int fd)
{
    _Alignas(8) uint8_t message[CALL_MAX + 8];
    struct lab_head *head = (struct lab_head *)message;
    ssize_t got = recv(fd, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
    uint32_t size = 0;

    (void)context;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got >= (ssize_t)sizeof(*head) && got <= (ssize_t)sizeof(message) && head->size <= got) {
        size = answer(head);
    }
    if (size && send(fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size) {
        return;
    }
    if (got > 0) {
        fputs("link: a call that is not understood, or takes no answer\n", stderr);
    }
    loop_remove(fd);
    close(fd);
}

bool calls_add(int fd)
{
    loop_add(fd, calls_readable, NULL);
    return true;
}
