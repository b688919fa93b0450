/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the program writes with, alone, for readers that stand still. Its first argument says what to do:
 *   packets       record packets to a pipe that nobody reads, as --pcap does, until that is given up; end with 0 if the
 *                 recording says that it has failed, and had not at first
 *   lines N       write N lines to standard error, print "written", wait until standard input ends, and print how many
 *                 lines are lost
 */
#include "../../cli/output.h"
#include "../../cli/pcapng.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

static int record_packets(void)
{
    enum { PACKET = 1400, PACKETS = 400 }; /* more than the pipe and the writer's buffer take */
    static const uint8_t packet[PACKET];
    HANDLE pipe = CreateNamedPipeW(L"\\\\.\\pipe\\redirector-packets", PIPE_ACCESS_INBOUND, PIPE_TYPE_BYTE, 1, 4096,
                                   4096, 0, NULL);
    struct pcapng *file = pipe == INVALID_HANDLE_VALUE ? NULL : pcapng_open("\\\\.\\pipe\\redirector-packets");
    if (!file) {
        return 2;
    }
    bool good = pcapng_write(file, packet, PACKET, 0, true, "x");
    for (int i = 0; i < PACKETS; i++) {
        pcapng_write(file, packet, PACKET, 0, true, "x");
    }
    return good && !pcapng_close(file) ? 0 : 1;
}

static int write_lines(int count)
{
    char line[32];
    if (!output_open()) {
        return 2;
    }
    for (int i = 0; i < count; i++) {
        snprintf(line, sizeof line, "line %d", i);
        output_line(line);
    }
    printf("written\n");
    fflush(stdout);
    while (getchar() != EOF) {
        ;
    }
    output_drain();
    printf("%llu\n", (unsigned long long)output_lost());
    output_close();
    return 0;
}

int wmain(int argc, wchar_t **argv)
{
    if (argc == 3 && wcscmp(argv[1], L"lines") == 0) {
        return write_lines(_wtoi(argv[2]));
    }
    return argc == 2 && wcscmp(argv[1], L"packets") == 0 ? record_packets() : 99;
}
