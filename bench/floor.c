/* The floor: the least that any single-threaded server can spend on the same traffic.
 *
 *   floor timer GROUPS    every 20 ms, `send` the same bytes to every connection of each group, the groups in turn
 *   floor relay GROUPS    a publisher's frame is unmasked once and sent to the others of its group
 *   floor receive 0       `recv`, count, and nothing else
 *
 * It prints `{"port": N}` once it listens, and `{"sent": .., "received": .., "cpu_s": ..}` on SIGTERM. A connection says by the
 * digits of `room` in its session_start ("bench-12") which group it is of. Whatever else clients send is read and discarded.
 * No accept key is computed (the load client checks none): that is a cost per connection, not per frame.
 */
#include "common.h"

struct connection {
    int fd;
    int upgraded;
    int started;
    int publisher;
    int group;
    size_t held;
    uint8_t data[2048];
};

struct group {
    struct connection **members;
    int count, room;
    uint16_t sequence;
};

enum mode { TIMER, RELAY, RECEIVE };

static enum mode mode;
static struct group *groups;
static int group_count;
static int epoll;
static uint64_t sent, received;
static volatile sig_atomic_t stopping;

static void stop(int signal_number) {
    (void)signal_number;
    stopping = 1;
}

static void send_text(int fd, const char *text) {
    uint8_t frame[512];
    size_t size = strlen(text), at = write_ws_header(frame, 1, size, NULL);
    memcpy(frame + at, text, size);
    send_all(fd, frame, at + size);
}

static void join(struct connection *c, const char *message) {
    c->started = 1;
    const char *room = strstr(message, "\"room\":\"bench-");
    c->group = room != NULL && group_count > 0 ? atoi(room + 14) % group_count : -1;
    if (c->group >= 0) {
        struct group *g = &groups[c->group];
        if (g->count == g->room) {
            g->room = g->room ? 2 * g->room : 16;
            g->members = realloc(g->members, g->room * sizeof *g->members);
        }
        g->members[g->count++] = c;
    }
    send_text(c->fd, "{\"type\":\"session_started\"}");
}

static void leave(struct connection *c) {
    if (c->group >= 0) {
        struct group *g = &groups[c->group];
        for (int i = 0; i < g->count; i++)
            if (g->members[i] == c) g->members[i--] = g->members[--g->count];
    }
    close(c->fd);
    free(c);
}

static void send_to_group(struct group *g, const uint8_t *frame, const struct connection *but) {
    for (int i = 0; i < g->count; i++) {
        struct connection *c = g->members[i];
        if (c == but) continue;
        if (send(c->fd, frame, FRAME_BYTES, MSG_NOSIGNAL | MSG_DONTWAIT) == FRAME_BYTES) sent++;
    }
}

static void on_frame(struct connection *c, struct ws_frame *f) {
    if (f->opcode == 2) {
        received++;
        if (mode == RELAY && c->group >= 0 && f->size == MESSAGE_BYTES) {
            uint8_t frame[FRAME_BYTES];
            size_t at = write_ws_header(frame, 2, MESSAGE_BYTES, NULL);
            memcpy(frame + at, f->payload, MESSAGE_BYTES);
            xor_key(frame + at, MESSAGE_BYTES, f->key);
            send_to_group(&groups[c->group], frame, c);
        }
    } else if (f->opcode == 1 && !c->started) {
        char text[2048];
        xor_key(f->payload, f->size, f->key);
        memcpy(text, f->payload, f->size);
        text[f->size] = 0;
        if (strstr(text, "session_start")) join(c, text);
    } else if (f->opcode == 1 && !c->publisher && f->size < 200) {
        char text[256];
        memcpy(text, f->payload, f->size);
        xor_key((uint8_t *)text, f->size, f->key);
        text[f->size] = 0;
        if (strstr(text, "track_open") == NULL) return;
        c->publisher = 1;
        send_text(c->fd, "{\"type\":\"track_opened\",\"track\":{\"track\":1},\"command_id\":1}");
    }
}

static const char UPGRADE[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Protocol: roomtone.v1\r\n\r\n";

/* 0 when the connection is over. */
static int on_readable(struct connection *c) {
    ssize_t n = recv(c->fd, c->data + c->held, sizeof c->data - 1 - c->held, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return 0;
    if (n < 0) return 1;
    c->held += n;
    if (!c->upgraded) {
        c->data[c->held] = 0;
        if (strstr((char *)c->data, "\r\n\r\n") == NULL) return c->held < sizeof c->data - 1;
        c->held = 0; /* the client sends nothing before the answer */
        c->upgraded = 1;
        return send_all(c->fd, UPGRADE, sizeof UPGRADE - 1);
    }
    size_t at = 0;
    struct ws_frame frame;
    while (read_ws_frame(c->data + at, c->held - at, &frame)) {
        if (frame.opcode == 8) return 0;
        on_frame(c, &frame);
        at += frame.total;
    }
    c->held -= at;
    if (at > 0 && c->held > 0) memmove(c->data, c->data + at, c->held);
    return c->held < sizeof c->data - 1;
}

static int listen_anywhere(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1024) < 0) die("listen");
    socklen_t size = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        set_nodelay(fd);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->group = -1;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

/* The group whose turn it is at `due`; the groups are spread evenly over the 20 ms, as publishers are. */
static void tick(int turn) {
    struct group *g = &groups[turn];
    uint8_t frame[FRAME_BYTES];
    if (g->count == 0) return;
    size_t at = write_ws_header(frame, 2, MESSAGE_BYTES, NULL);
    uint16_t sequence = g->sequence++;
    write_message(frame + at, 1, sequence, sequence * 960u, now_ns());
    send_to_group(g, frame, NULL);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: floor timer|relay|receive GROUPS\n");
        return 2;
    }
    mode = strcmp(argv[1], "timer") == 0 ? TIMER : strcmp(argv[1], "relay") == 0 ? RELAY : RECEIVE;
    group_count = mode == RECEIVE ? 0 : atoi(argv[2]);
    groups = calloc(group_count + 1, sizeof *groups);
    raise_file_limit();
    signal(SIGTERM, stop);
    epoll = epoll_create1(0);
    int listener = listen_anywhere(), turn = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    int64_t start = now_ns(), cycle = 0;
    while (!stopping) {
        int64_t now = now_ns(), due = now + 1000000000;
        while (mode == TIMER && group_count > 0) {
            due = start + cycle * FRAME_NS + (int64_t)turn * FRAME_NS / group_count;
            if (due > now) break;
            tick(turn);
            if (++turn == group_count) turn = 0, cycle++;
        }
        int n = wait_until(epoll, events, 256, due);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL)
                accept_all(listener);
            else if (!on_readable(c))
                leave(c);
        }
    }
    printf("{\"sent\": %llu, \"received\": %llu, \"cpu_s\": %.6f}\n", (unsigned long long)sent,
           (unsigned long long)received, own_cpu_ns() / 1e9);
    return 0;
}
