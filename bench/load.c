/* The load: listeners and speakers that speak the Roomtone protocol, one epoll loop, for the floor and for Roomtone alike.
 *
 *   load --port N [--warmup S] [--seconds S] [--cpu-pid PID] [--kernel-stamps] [--spread] [--bunched] < plan
 *
 * The plan has one line a connection, `ROLE ROOM TOKEN`. Roles: `l` listens, `s` opens a track, sends 50 frames a second and
 * listens, `k` is a listener with a small receive buffer that stops reading and reporting when the measurement begins.
 * Every listener sends a receive_report each 500 ms (--report-ms, 0 for none); all sending is paced on absolute time and spread evenly,
 * with --bunched all at once.
 * A frame carries the CLOCK_MONOTONIC time of its sending; its delay ends when this program reads it, or, with
 * --kernel-stamps, when the kernel put it into the receiving socket (the server's own `send`, on loopback).
 * Events are JSON lines on stdout: joined, begin, result.
 */
#include "common.h"

enum state { NEW, UPGRADING, STARTING, OPENING, READY, GONE };
enum { MAX_TRACKS = 16, IN_FLIGHT = 32, BUFFER_BYTES = 8 << 20, TOLD_CLOSES = 20 };

struct heard {
    uint16_t track, sequence;
};

struct connection {
    int fd;
    char role;
    enum state state;
    char *room, *token;
    uint8_t *held; /* the front of a frame whose rest has not come yet */
    size_t held_size;
    struct heard heard[MAX_TRACKS];
    int heard_count;
    uint64_t received;
    uint16_t track, sequence;
    int close_code;
    int64_t gone_ns;
};

static struct connection *all, **speakers, **listeners;
static int count, speaker_count, listener_count, stuck_count;
static int port, kernel_stamps, spread, bunched, epoll, opened, ready, gone;
static uint8_t *buffer;
static int measuring, stuck;
static int64_t begin_ns, too_slow_ns, clock_offset_ns;
static uint64_t frames, published, reports, missing, discontinuities;
static int64_t *delays;
static size_t delay_count, delay_room;

static uint32_t random_key(void) {
    static uint32_t x = 0x9e3779b9;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    return x;
}

static void add_delay(int64_t delay_ns) {
    if (delay_count == delay_room) {
        delay_room = delay_room ? 2 * delay_room : 1 << 20;
        delays = realloc(delays, delay_room * sizeof *delays);
    }
    delays[delay_count++] = delay_ns;
}

static void lose(struct connection *c) {
    if (c->state == GONE) return;
    if (c->state != READY) fprintf(stderr, "load: a connection was lost in state %d, code %d\n", c->state, c->close_code);
    c->state = GONE;
    c->gone_ns = now_ns();
    close(c->fd);
    gone++;
}

static void send_frame(struct connection *c, int opcode, const void *data, size_t size) {
    uint8_t frame[16384], key[4];
    uint32_t random = random_key();
    memcpy(key, &random, 4);
    size_t at = write_ws_header(frame, opcode, size, key);
    memcpy(frame + at, data, size);
    xor_key(frame + at, size, key);
    if (!send_all(c->fd, frame, at + size)) lose(c);
}

static void send_text(struct connection *c, const char *text) { send_frame(c, 1, text, strlen(text)); }

static void connect_one(struct connection *c, int index) {
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket");
    set_nodelay(c->fd);
    int small = 4096, one = 1;
    if (c->role == 'k') setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (kernel_stamps) setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (spread) {
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + index % 250);
        if (bind(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: roomtone.v1\r\n\r\n",
                        port);
    c->state = UPGRADING;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    if (!send_all(c->fd, request, size)) lose(c);
}

static void on_audio(struct connection *c, const uint8_t *data, size_t size, int64_t arrived_ns) {
    if (size < STAMP_OFFSET + 8) return;
    c->received++;
    uint16_t track = data[4] << 8 | data[5], sequence = data[6] << 8 | data[7];
    int i = 0;
    while (i < c->heard_count && c->heard[i].track != track) i++;
    if (i == c->heard_count) {
        if (i == MAX_TRACKS) return;
        c->heard[c->heard_count++].track = track;
    } else if (measuring) {
        missing += (uint16_t)(sequence - c->heard[i].sequence - 1);
    }
    c->heard[i].sequence = sequence;
    if (!measuring) return;
    int64_t stamp;
    memcpy(&stamp, data + STAMP_OFFSET, sizeof stamp);
    frames++;
    discontinuities += data[1] >> 2 & 1;
    add_delay(arrived_ns - stamp);
}

static void on_text(struct connection *c, uint8_t *data, size_t size) {
    uint8_t after = data[size]; /* the buffer has room behind the last frame */
    data[size] = 0;
    const char *text = (const char *)data;
    if (c->state == STARTING && strstr(text, "\"session_started\"")) {
        c->state = c->role == 's' ? OPENING : READY;
        if (c->role == 's') send_text(c, "{\"type\":\"track_open\",\"command_id\":1,\"codec\":\"opus\",\"frame_ms\":20}");
        ready += c->state == READY;
    } else if (c->state == OPENING && strstr(text, "\"track_opened\"") && strstr(text, "\"command_id\":")) {
        const char *track = strstr(text, "\"track\":{\"track\":");
        if (track != NULL) {
            c->track = atoi(track + 17);
            c->state = READY;
            ready++;
        }
    } else if (strstr(text, "\"type\":\"error\"")) {
        fprintf(stderr, "load: %.300s\n", text);
    } else if (measuring && too_slow_ns == 0 && strstr(text, "too_slow")) {
        too_slow_ns = now_ns();
    }
    data[size] = after;
}

static void on_frame(struct connection *c, struct ws_frame *frame, int64_t arrived_ns) {
    if (frame->opcode == 2)
        on_audio(c, frame->payload, frame->size, arrived_ns);
    else if (frame->opcode == 1)
        on_text(c, frame->payload, frame->size);
    else if (frame->opcode == 9)
        send_frame(c, 10, frame->payload, frame->size);
    else if (frame->opcode == 8) {
        if (frame->size >= 2) c->close_code = frame->payload[0] << 8 | frame->payload[1];
        lose(c);
    }
}

/* recv; `arrived_ns` becomes when the newest of the bytes came into the socket, in monotonic time. */
static ssize_t receive(int fd, uint8_t *data, size_t size, int64_t *arrived_ns) {
    if (!kernel_stamps) {
        ssize_t n = recv(fd, data, size, MSG_DONTWAIT);
        *arrived_ns = now_ns();
        return n;
    }
    char control[128];
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
    *arrived_ns = now_ns();
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); n > 0 && h != NULL; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(h), sizeof t);
        *arrived_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - clock_offset_ns;
    }
    return n;
}

static void on_upgraded(struct connection *c) {
    char *message = malloc(strlen(c->token) + strlen(c->room) + 128);
    sprintf(message, "{\"type\":\"session_start\",\"token\":\"%s\",\"room\":\"%s\",\"codecs\":[\"opus\"]}", c->token, c->room);
    c->state = STARTING;
    send_text(c, message);
    free(message);
}

static void on_readable(struct connection *c) {
    size_t held = c->held_size;
    int64_t arrived_ns;
    if (held > 0) memcpy(buffer, c->held, held);
    ssize_t n = receive(c->fd, buffer + held, held + 262144 < BUFFER_BYTES ? 262144 : 0, &arrived_ns);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        lose(c);
        return;
    }
    size_t size = held + n, at = 0;
    if (c->state == UPGRADING) {
        buffer[size] = 0;
        char *end = strstr((char *)buffer, "\r\n\r\n");
        if (end != NULL && strncmp((char *)buffer, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "load: refused: %.200s\n", (char *)buffer);
            lose(c);
            return;
        }
        at = end == NULL ? 0 : end + 4 - (char *)buffer;
        if (end != NULL) on_upgraded(c);
    }
    struct ws_frame frame;
    while (c->state > UPGRADING && c->state != GONE && read_ws_frame(buffer + at, size - at, &frame)) {
        on_frame(c, &frame, arrived_ns);
        at += frame.total;
    }
    c->held_size = size - at;
    if (c->held_size > 0) {
        c->held = realloc(c->held, c->held_size);
        memcpy(c->held, buffer + at, c->held_size);
    }
}

static void publish(struct connection *c) {
    uint8_t message[MESSAGE_BYTES];
    if (c->state != READY) return;
    uint16_t sequence = c->sequence++;
    write_message(message, c->track, sequence, sequence * 960u, now_ns());
    send_frame(c, 2, message, sizeof message);
    published += measuring;
}

static void report(struct connection *c) {
    char text[MAX_TRACKS * 16 + 96];
    if (c->state != READY || c->heard_count == 0 || (stuck && c->role == 'k')) return;
    int size = sprintf(text, "{\"type\":\"receive_report\",\"received\":%llu,\"sequences\":{",
                       (unsigned long long)c->received);
    for (int i = 0; i < c->heard_count; i++)
        size += sprintf(text + size, "%s\"%d\":%d", i ? "," : "", c->heard[i].track, c->heard[i].sequence);
    strcpy(text + size, "}}");
    send_text(c, text);
    reports += measuring;
}

/* A round of turns, spread evenly over `period_ns`. */
struct round {
    struct connection **members;
    int count, turn;
    int64_t start_ns, cycle, period_ns;
    void (*act)(struct connection *);
};

static int64_t run_round(struct round *r, int64_t now) {
    if (r->count == 0) return INT64_MAX;
    for (;;) {
        int64_t due = r->start_ns + r->cycle * r->period_ns + (bunched ? 0 : r->turn * (r->period_ns / r->count));
        if (due > now) return due;
        r->act(r->members[r->turn]);
        if (++r->turn == r->count) r->turn = 0, r->cycle++;
    }
}

static void serve_until(int64_t end_ns, struct round *rounds, int round_count, int until_joined) {
    struct epoll_event events[512];
    for (;;) {
        int64_t now = now_ns(), due = end_ns;
        if (now >= end_ns || (until_joined && ready + gone == count)) return;
        while (until_joined && opened < count && opened - ready - gone < IN_FLIGHT) {
            connect_one(&all[opened], opened);
            opened++;
        }
        for (int i = 0; i < round_count; i++) {
            int64_t next = run_round(&rounds[i], now);
            if (next < due) due = next;
        }
        int n = wait_until(epoll, events, 512, due);
        clock_offset_ns = clock_ns(CLOCK_REALTIME) - now_ns();
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->state == GONE) continue;
            if (stuck && c->role == 'k')
                lose(c); /* not read any more: only the end of the connection is told */
            else
                on_readable(c);
        }
    }
}

static void get_stuck(void) {
    stuck = 1;
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = &all[i]};
        if (all[i].role == 'k' && all[i].state == READY) epoll_ctl(epoll, EPOLL_CTL_MOD, all[i].fd, &event);
    }
}

static void read_plan(void) {
    char role, room[256], token[8192];
    int size = 0;
    while (scanf(" %c %255s %8191s", &role, room, token) == 3) {
        if (count == size) all = realloc(all, (size = size ? 2 * size : 64) * sizeof *all);
        all[count++] = (struct connection){.role = role, .room = strdup(room), .token = strdup(token)};
    }
    speakers = calloc(count + 1, sizeof *speakers);
    listeners = calloc(count + 1, sizeof *listeners);
    for (int i = 0; i < count; i++) {
        if (all[i].role == 's') speakers[speaker_count++] = &all[i];
        stuck_count += all[i].role == 'k';
        listeners[listener_count++] = &all[i];
    }
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(double share) {
    if (delay_count == 0) return 0;
    size_t i = share * (delay_count - 1);
    return delays[i] / 1e6;
}

static void print_closes(void) {
    int told = 0;
    printf("\"closes\": [");
    for (int i = 0; i < count && told < TOLD_CLOSES; i++) {
        if (all[i].state != GONE) continue;
        printf("%s{\"role\": \"%c\", \"code\": %d, \"after_s\": %.3f}", told++ ? ", " : "", all[i].role,
               all[i].close_code, (all[i].gone_ns - begin_ns) / 1e9);
    }
    printf("]");
}

static void print_result(double seconds, double server_cpu_s, double own_cpu_s) {
    qsort(delays, delay_count, sizeof *delays, compare);
    printf("{\"event\": \"result\", \"seconds\": %.6f, \"frames\": %llu, \"published\": %llu, \"reports\": %llu, ", seconds,
           (unsigned long long)frames, (unsigned long long)published, (unsigned long long)reports);
    printf("\"missing\": %llu, \"discontinuities\": %llu, ", (unsigned long long)missing, (unsigned long long)discontinuities);
    printf("\"server_cpu_s\": %.6f, \"load_cpu_s\": %.6f, \"gone\": %d, ", server_cpu_s, own_cpu_s, gone);
    if (too_slow_ns) printf("\"too_slow_after_s\": %.3f, ", (too_slow_ns - begin_ns) / 1e9);
    printf("\"delay_ms\": {\"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"p999\": %.4f, \"max\": %.4f}, ", quantile_ms(.5),
           quantile_ms(.9), quantile_ms(.99), quantile_ms(.999), quantile_ms(1));
    print_closes();
    printf("}\n");
}

int main(int argc, char **argv) {
    double warmup = 1, seconds = 5;
    int pid = 0;
    int64_t report_ns = 500 * 1000 * 1000;
    clockid_t server_clock = CLOCK_MONOTONIC;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (strcmp(argv[i], "--kernel-stamps") == 0) kernel_stamps = 1;
        else if (strcmp(argv[i], "--spread") == 0) spread = 1;
        else if (strcmp(argv[i], "--bunched") == 0) bunched = 1;
        else if (strcmp(argv[i], "--port") == 0) port = atoi(value), i++;
        else if (strcmp(argv[i], "--warmup") == 0) warmup = atof(value), i++;
        else if (strcmp(argv[i], "--seconds") == 0) seconds = atof(value), i++;
        else if (strcmp(argv[i], "--report-ms") == 0) report_ns = atoi(value) * 1000000ll, i++;
        else if (strcmp(argv[i], "--cpu-pid") == 0) pid = atoi(value), i++;
        else return fprintf(stderr, "load: what is %s?\n", argv[i]), 2;
    }
    if (pid && clock_getcpuclockid(pid, &server_clock) != 0) return fprintf(stderr, "load: no process %d\n", pid), 2;
    raise_file_limit();
    buffer = malloc(BUFFER_BYTES + 1);
    epoll = epoll_create1(0);
    read_plan();
    serve_until(now_ns() + 120ll * 1000000000, NULL, 0, 1);
    if (ready != count) return fprintf(stderr, "load: %d of %d joined, %d lost\n", ready, count, gone), 1;
    printf("{\"event\": \"joined\", \"connections\": %d}\n", count);
    fflush(stdout);
    int64_t start = now_ns();
    struct round rounds[] = {
        {speakers, speaker_count, 0, start, 0, FRAME_NS, publish},
        {listeners, listener_count, 0, start, 0, report_ns, report},
    };
    int round_count = report_ns > 0 ? 2 : 1;
    serve_until(start + warmup * 1e9, rounds, round_count, 0);
    printf("{\"event\": \"begin\"}\n");
    fflush(stdout);
    begin_ns = now_ns();
    int64_t cpu = pid ? clock_ns(server_clock) : 0, own = own_cpu_ns();
    measuring = 1;
    if (stuck_count) get_stuck();
    serve_until(begin_ns + seconds * 1e9, rounds, round_count, 0);
    cpu = pid ? clock_ns(server_clock) - cpu : 0;
    print_result((now_ns() - begin_ns) / 1e9, cpu / 1e9, (own_cpu_ns() - own) / 1e9);
    return 0;
}
