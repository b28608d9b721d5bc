/* What the floor and the load client share: clocks, sockets, WebSocket frames. Linux only (epoll). */
#ifndef ROOMTONE_BENCH_COMMON_H
#define ROOMTONE_BENCH_COMMON_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FRAME_NS = 20 * 1000 * 1000,
    HEADER_BYTES = 12,   /* Roomtone's audio header */
    PAYLOAD_BYTES = 120, /* 48 kbit/s Opus at 20 ms */
    MESSAGE_BYTES = HEADER_BYTES + PAYLOAD_BYTES,
    FRAME_BYTES = MESSAGE_BYTES + 4, /* + an unmasked WebSocket header with a 16-bit length */
    STAMP_OFFSET = HEADER_BYTES + 4, /* the send time stands behind the Opus table-of-contents byte */
};

static inline int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* Wait for events until `deadline_ns` (monotonic). */
static inline int wait_until(int epoll, struct epoll_event *events, int size, int64_t deadline_ns) {
    int64_t left = deadline_ns - now_ns();
    if (left < 0) left = 0;
    struct timespec t = {left / 1000000000, left % 1000000000};
    int n = epoll_pwait2(epoll, events, size, &t, NULL);
    if (n < 0 && errno != EINTR) die("epoll_pwait2");
    return n < 0 ? 0 : n;
}

/* One audio message: header, then a payload that carries `stamp_ns`. */
static inline void write_message(uint8_t *out, uint16_t track, uint16_t sequence, uint32_t timestamp, int64_t stamp_ns) {
    out[0] = 0x11;
    out[1] = 0;
    out[2] = 0x80 | 30; /* voice, -30 dBov */
    out[3] = 0;
    out[4] = track >> 8, out[5] = track & 255;
    out[6] = sequence >> 8, out[7] = sequence & 255;
    for (int i = 0; i < 4; i++) out[8 + i] = timestamp >> (24 - 8 * i);
    memset(out + HEADER_BYTES, 0x5a, PAYLOAD_BYTES);
    out[HEADER_BYTES] = 0xf8; /* Opus: CELT full band, 20 ms, mono, one frame */
    memcpy(out + STAMP_OFFSET, &stamp_ns, sizeof stamp_ns);
}

/* A WebSocket header for `size` bytes; returns its length. `key`: NULL for a server, 4 bytes for a client. */
static inline size_t write_ws_header(uint8_t *out, int opcode, size_t size, const uint8_t *key) {
    size_t n = 2;
    out[0] = 0x80 | opcode;
    if (size < 126) {
        out[1] = size;
    } else {
        out[1] = 126, out[2] = size >> 8, out[3] = size & 255;
        n = 4;
    }
    if (key != NULL) {
        out[1] |= 0x80;
        memcpy(out + n, key, 4);
        n += 4;
    }
    return n;
}

struct ws_frame {
    int opcode;
    int masked;
    uint8_t key[4];
    uint8_t *payload;
    size_t size;  /* of the payload */
    size_t total; /* with the header */
};

/* Read one frame from the front of `data`; 0 when more bytes are needed (then `total` tells how many, if known). */
static inline int read_ws_frame(uint8_t *data, size_t size, struct ws_frame *frame) {
    frame->total = 0;
    if (size < 2) return 0;
    size_t at = 2, length = data[1] & 127;
    if (length == 126) {
        if (size < 4) return 0;
        length = data[2] << 8 | data[3];
        at = 4;
    } else if (length == 127) {
        if (size < 10) return 0;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | data[i];
        at = 10;
    }
    frame->masked = data[1] >> 7;
    if (frame->masked) at += 4;
    frame->total = at + length;
    if (size < frame->total) return 0;
    if (frame->masked) memcpy(frame->key, data + at - 4, 4);
    frame->opcode = data[0] & 15;
    frame->payload = data + at;
    frame->size = length;
    return 1;
}

static inline void xor_key(uint8_t *data, size_t size, const uint8_t *key) {
    for (size_t i = 0; i < size; i++) data[i] ^= key[i & 3];
}

/* Send it all, waiting where the socket is full; 0 when the connection is gone. */
static inline int send_all(int fd, const void *data, size_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            at += n, size -= n;
        } else if (errno == EAGAIN) {
            struct pollfd p = {fd, POLLOUT, 0};
            poll(&p, 1, 1000);
        } else if (errno != EINTR) {
            return 0;
        }
    }
    return 1;
}

static inline void set_nodelay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static inline int64_t own_cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

#endif
