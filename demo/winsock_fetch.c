/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * One of the demo's Windows programs: plain blocking Winsock, no runtime in between. It fetches pages over HTTP, each on a
 * connection of its own, knows nothing of any redirector, and writes down what it sees: a JSON line per request with both
 * ends of its socket as Winsock names them, and a hash of the page.
 *
 *     winsock_fetch NAME OUTFILE ROUNDS URL...        URL: http://ADDRESS[:PORT]/PATH, a numeric address
 *
 * It closes first, so that its port is not used again soon and a port in the server's log names one connection.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <bcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256, HEAD = 4096 };

struct url {
    char host[TEXT]; /* without brackets */
    char port[8];
    const char *path;
};

struct record {
    char id[TEXT];
    const char *url;
    char local[TEXT], remote[TEXT];
    int status;
    size_t bytes;
    char sha256[65];
    const char *error; /* what failed, or NULL */
    int error_code;
};

static int url_parse(const char *text, struct url *url)
{
    const char *host = text + strlen("http://"), *end, *after;
    if (strncmp(text, "http://", strlen("http://")) != 0) {
        return 0;
    }
    if (*host == '[') {
        end = strchr(++host, ']');
        after = end ? end + 1 : NULL;
    } else {
        end = after = host + strcspn(host, ":/");
    }
    if (!end || (size_t)(end - host) >= sizeof(url->host)) {
        return 0;
    }
    memcpy(url->host, host, (size_t)(end - host));
    url->host[end - host] = 0;
    strcpy(url->port, "80");
    if (*after == ':') {
        size_t digits = strspn(++after, "0123456789");
        if (digits == 0 || digits >= sizeof(url->port)) {
            return 0;
        }
        memcpy(url->port, after, digits);
        url->port[digits] = 0;
        after += digits;
    }
    url->path = after;
    return *after == '/';
}

/* "10.0.0.1:80" or "[fd00::1]:80" */
static void endpoint_text(const struct sockaddr *address, int length, char text[TEXT])
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(address, length, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        strcpy(text, "?");
    } else {
        snprintf(text, TEXT, address->sa_family == AF_INET6 ? "[%.200s]:%.10s" : "%.200s:%.10s", host, port);
    }
}

static int failed(struct record *record, const char *what)
{
    record->error_code = WSAGetLastError();
    record->error = what;
    return 0;
}

static int connect_to(SOCKET *out, const struct url *url, struct record *record)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *address;
    struct sockaddr_storage end;
    int length = sizeof(end);
    if (getaddrinfo(url->host, url->port, &hints, &address) != 0) {
        return failed(record, "getaddrinfo");
    }
    *out = socket(address->ai_family, SOCK_STREAM, IPPROTO_TCP);
    int connected = *out != INVALID_SOCKET && connect(*out, address->ai_addr, (int)address->ai_addrlen) == 0;
    freeaddrinfo(address);
    if (!connected) {
        return failed(record, "connect");
    }
    if (getsockname(*out, (struct sockaddr *)&end, &length) != 0) {
        return failed(record, "getsockname");
    }
    endpoint_text((struct sockaddr *)&end, length, record->local);
    length = sizeof(end);
    if (getpeername(*out, (struct sockaddr *)&end, &length) != 0) {
        return failed(record, "getpeername");
    }
    endpoint_text((struct sockaddr *)&end, length, record->remote);
    return 1;
}

static int send_request(SOCKET s, const char *name, const struct url *url, struct record *record)
{
    char request[HEAD];
    int length = snprintf(request, sizeof(request),
                          "GET %s HTTP/1.1\r\nHost: demo\r\nUser-Agent: %s\r\nX-Request-Id: %s\r\n\r\n", url->path,
                          name, record->id);
    for (int sent = 0, n; sent < length; sent += n) {
        if ((n = send(s, request + sent, length - sent, 0)) <= 0) {
            return failed(record, "send");
        }
    }
    return 1;
}

/* Reads up to the end of the head; what has been read of the body stays behind it. Gives the two lengths. */
static int read_head(SOCKET s, char head[HEAD + 1], size_t *head_length, size_t *total, struct record *record)
{
    *total = 0;
    for (;;) {
        int n = recv(s, head + *total, (int)(HEAD - *total), 0);
        if (n <= 0) {
            return failed(record, "recv of the head");
        }
        *total += (size_t)n;
        head[*total] = 0;
        const char *end = strstr(head, "\r\n\r\n");
        if (end) {
            *head_length = (size_t)(end + 4 - head);
            return 1;
        }
    }
}

static int read_response(SOCKET s, BCRYPT_HASH_HANDLE hash, struct record *record)
{
    char buffer[HEAD + 1];
    size_t head, have;
    if (!read_head(s, buffer, &head, &have, record)) {
        return 0;
    }
    const char *length_text = strstr(buffer, "\r\nContent-Length: ");
    if (!length_text || sscanf(buffer, "HTTP/1.1 %d", &record->status) != 1) {
        return failed(record, "the head has no length or no status");
    }
    size_t length = strtoul(length_text + strlen("\r\nContent-Length: "), NULL, 10);
    const char *data = buffer + head;
    size_t part = have - head;
    for (;;) {
        if (BCryptHashData(hash, (PUCHAR)data, (ULONG)part, 0) != 0) {
            return failed(record, "BCryptHashData");
        }
        record->bytes += part;
        if (record->bytes >= length) {
            return 1;
        }
        int n = recv(s, buffer, HEAD, 0);
        if (n <= 0) {
            return failed(record, "recv of the body");
        }
        data = buffer;
        part = (size_t)n;
    }
}

static int fetch(const char *name, BCRYPT_ALG_HANDLE sha256, struct record *record)
{
    struct url url;
    SOCKET s = INVALID_SOCKET;
    BCRYPT_HASH_HANDLE hash = NULL;
    UCHAR digest[32];
    int good = 0;
    if (!url_parse(record->url, &url)) {
        failed(record, "this is no URL");
    } else if (BCryptCreateHash(sha256, &hash, NULL, 0, NULL, 0, 0) != 0) {
        failed(record, "BCryptCreateHash");
    } else {
        good = connect_to(&s, &url, record) && send_request(s, name, &url, record) && read_response(s, hash, record);
    }
    if (good && BCryptFinishHash(hash, digest, sizeof(digest), 0) != 0) {
        good = failed(record, "BCryptFinishHash");
    }
    for (size_t i = 0; good && i < sizeof(digest); i++) {
        snprintf(record->sha256 + 2 * i, 3, "%02x", digest[i]);
    }
    if (hash) {
        BCryptDestroyHash(hash);
    }
    if (s != INVALID_SOCKET) {
        closesocket(s);
    }
    return good;
}

/* The file name within `path`, which is filled in. */
static const char *program_name(char path[MAX_PATH + 1])
{
    memset(path, 0, MAX_PATH + 1);
    GetModuleFileNameA(NULL, path, MAX_PATH);
    const char *slash = strrchr(path, '\\');
    return slash ? slash + 1 : path;
}

static void record_write(FILE *out, const struct record *r)
{
    char path[MAX_PATH + 1];
    fprintf(
        out,
        "{\"id\":\"%s\",\"pid\":%lu,\"program\":\"%s\",\"url\":\"%s\",\"local\":\"%s\",\"remote\":\"%s\",\"status\":%d,"
        "\"bytes\":%lu,\"sha256\":\"%s\",\"error\":\"",
        r->id, GetCurrentProcessId(), program_name(path), r->url, r->local, r->remote, r->status,
        (unsigned long)r->bytes, r->sha256);
    if (r->error) {
        fprintf(out, "%s (%d)", r->error, r->error_code);
    }
    fprintf(out, "\"}\n");
}

int main(int argc, char **argv)
{
    WSADATA data;
    BCRYPT_ALG_HANDLE sha256;
    int all_good = 1;
    if (argc < 5) {
        fprintf(stderr, "usage: winsock_fetch NAME OUTFILE ROUNDS URL...\n");
        return 2;
    }
    FILE *out = fopen(argv[2], "w");
    if (!out || WSAStartup(MAKEWORD(2, 2), &data) != 0 ||
        BCryptOpenAlgorithmProvider(&sha256, BCRYPT_SHA256_ALGORITHM, NULL, 0) != 0) {
        fprintf(stderr, "winsock_fetch: cannot start\n");
        return 2;
    }
    for (int round = 0; round < atoi(argv[3]); round++) {
        for (int i = 4; i < argc; i++) {
            struct record record = {.url = argv[i]};
            snprintf(record.id, sizeof(record.id), "%s.%d.%d", argv[1], round, i - 4);
            all_good &= fetch(argv[1], sha256, &record);
            record_write(out, &record);
        }
    }
    BCryptCloseAlgorithmProvider(sha256, 0);
    WSACleanup();
    return fclose(out) == 0 && all_good ? 0 : 1;
}
