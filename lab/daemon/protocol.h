// SPDX-License-Identifier: LGPL-3.0-or-later
//
// The wire between the emulated driver (WinDivert64.sys under Wine) and windivert-labd.
//
// The driver opens two SOCK_SEQPACKET connections to an *abstract* AF_UNIX name. Abstract names
// belong to a network namespace, so labs cannot see each other and a Wine that runs outside its
// lab finds no daemon. Its first message on each says which of the two it is:
//
//   calls        driver -> daemon requests. CREATE and IOCTL are answered at once with one reply;
//                STATUS_PENDING in it means "the final reply comes on the other connection".
//                CLOSE and CANCEL are not answered.
//   completions  daemon -> driver, final replies of pending requests.
//
// The daemon alone decides when a request ends and ends each exactly once, so cancellation cannot
// race with completion. Packet data never crosses the sockets: the daemon reads and writes the
// request's buffer in the driver's process (process_vm_readv/writev, pid from SO_PEERCRED).
//
// Marks on injected packets (the iptables rules of the lab need MARK_FINAL only):
//   MARK_OUT | n   injected outbound by the handle that was the n-th (mod 65536) initialised; the
//   MARK_IN  | n   same for inbound. Such packets are queued again so that handles of lower
//                  priority see them.
//   MARK_FINAL     no other handle may see it: the rule must not queue it.
#ifndef LAB_PROTOCOL_H
#define LAB_PROTOCOL_H

#include <stdint.h>

#define LAB_SOCKET_NAME "windivert-lab" // preceded by a NUL byte: abstract

#define MARK_CLASS 0xffff0000u
#define MARK_OUT 0x57440000u
#define MARK_IN 0x57460000u
#define MARK_FINAL 0x57450000u

#define LAB_STATUS_PENDING 0x00000103u

enum lab_op {
    LAB_HELLO_CALLS = 1,
    LAB_HELLO_COMPLETIONS,
    LAB_CREATE,
    LAB_CLOSE,
    LAB_IOCTL,
    LAB_CANCEL, // id names the IOCTL to cancel
};

struct lab_request {
    uint32_t op;
    uint32_t windows_pid; // process that made the call
    uint64_t id;          // chosen by the driver, never reused
    uint64_t file;        // which open file
    uint32_t code;        // I/O control code
    uint32_t buffer_len;  // second ("direct") buffer, in the driver's process
    uint64_t buffer;
    uint32_t input_len; // what the caller passed; at most sizeof(input) bytes of it are carried
    uint32_t reserved;
    uint8_t input[16];
};

struct lab_reply {
    uint64_t id;
    uint32_t status; // NTSTATUS
    uint32_t information;
    uint32_t refused; // 1: the call itself fails; 0: an overlapped caller sees "pending" first
    uint32_t reserved;
};

_Static_assert(sizeof(struct lab_request) == 64, "same layout for both compilers");
_Static_assert(sizeof(struct lab_reply) == 24, "same layout for both compilers");

#endif
