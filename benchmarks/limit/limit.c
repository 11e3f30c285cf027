/* The commands of pullet's jobs from a client that does nothing else: what the server can do.

   limit PATH-OF-SPEC HOST PORT

   Three connections, as a client and a worker have them, in one thread: one sends batches of `submit`, AHEAD of them
   before the first answer; one sends `cycle`, with the outcomes of what the last one took; one reads the inbox, and
   deletes behind itself. Answers are read as far as the next command needs it, nothing is decoded or run.
   The spec, written by limit.py: blocks of a length (4 bytes, this machine's order) and so many bytes.

   Prints seconds from the first submit to the last reply read, and the CPU seconds of this process. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AHEAD = 4, WIDTH = 7, JOB_LENGTH = 32, ENTRY_STRINGS = 6, MOST_STRINGS = 1 << 20 };

typedef struct { char *at; size_t size; } Bytes;
typedef struct { char *at; size_t size, room; } Buffer;
typedef struct { int socket; Buffer in, out; size_t written; } Link;

static Bytes strings[MOST_STRINGS]; /* the bulk strings of the last answer */
static size_t found;

static void fail(const char *what, const char *text, size_t size) {
    fprintf(stderr, "limit: %s %.*s\n", what, (int)(size > 200 ? 200 : size), text);
    exit(1);
}

static void append(Buffer *buffer, const char *bytes, size_t size) {
    if (buffer->size + size > buffer->room) {
        buffer->room = 2 * (buffer->size + size);
        buffer->at = realloc(buffer->at, buffer->room);
        if (!buffer->at) fail("out of memory", "", 0);
    }
    memcpy(buffer->at + buffer->size, bytes, size);
    buffer->size += size;
}

static void appendf(Buffer *buffer, const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    append(buffer, text, size);
}

static void append_string(Buffer *buffer, Bytes text) {
    appendf(buffer, "$%zu\r\n", text.size);
    append(buffer, text.at, text.size);
    append(buffer, "\r\n", 2);
}

/* One answer from `at`: where it ends, or NULL when it is not all there. Collects its bulk strings. */
static char *walk(char *at, char *end) {
    char *line = memchr(at, '\n', end - at);
    if (!line) return NULL;
    long number = strtol(at + 1, NULL, 10);
    char kind = *at, *refusal = at;
    at = line + 1;
    if (kind == '-') fail("the server refused:", refusal, line - refusal);
    if (kind == '$' && number >= 0) {
        if (end - at < number + 2) return NULL;
        if (found < MOST_STRINGS) strings[found++] = (Bytes){at, number};
        at += number + 2;
    }
    if (kind == '*')
        for (long i = 0; i < number && at; i++) at = at < end ? walk(at, end) : NULL;
    return at;
}

static void connect_to(Link *link, const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    inet_pton(AF_INET, host, &address.sin_addr);
    link->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(link->socket, (struct sockaddr *)&address, sizeof address)) fail("cannot connect", host, strlen(host));
    setsockopt(link->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void flush(Link *link) {
    while (link->written < link->out.size) {
        ssize_t size = send(link->socket, link->out.at + link->written, link->out.size - link->written, MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) return;
        if (size < 0) fail("cannot send", "", 0);
        link->written += size;
    }
    link->written = link->out.size = 0;
}

static void receive(Link *link) {
    static char chunk[1 << 18];
    ssize_t size = recv(link->socket, chunk, sizeof chunk, MSG_DONTWAIT);
    if (size == 0) fail("the server closed the connection", "", 0);
    if (size > 0) append(&link->in, chunk, size);
}

/* Where the next answer ends, NULL when it is not all there; its strings stay valid until `consume`. */
static char *answer(Link *link) {
    found = 0;
    return link->in.size ? walk(link->in.at, link->in.at + link->in.size) : NULL;
}

static void consume(Link *link, char *end) {
    size_t used = end - link->in.at;
    memmove(link->in.at, end, link->in.size - used);
    link->in.size -= used;
}

static FILE *spec;
static Bytes next_block(void) {
    uint32_t size;
    Bytes block = {NULL, 0};
    if (fread(&size, sizeof size, 1, spec) != 1) fail("the spec ends too early", "", 0);
    block = (Bytes){malloc(size + 1), size};
    if (fread(block.at, 1, size, spec) != size) fail("the spec ends too early", "", 0);
    block.at[size] = 0;
    return block;
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static Link sender, worker, reader;
static Bytes *batches, cycle_fixed, outcome_tail, reply_prefix, read_head, trim_head;
static long batch_count, jobs, cycle_arguments, sent, answered, done;
static char cursor[64] = "0";

static void submit_ahead(void) {
    while (sent < batch_count && sent - answered < AHEAD) append(&sender.out, batches[sent].at, batches[sent].size), sent++;
}

/* Outcomes of what the answer in `strings` brought, and the wish for more. */
static void cycle(void) {
    long entries = found ? (long)(found - 1) / ENTRY_STRINGS : 0;
    appendf(&worker.out, "*%ld\r\n", cycle_arguments + entries * WIDTH);
    append(&worker.out, cycle_fixed.at, cycle_fixed.size);
    for (long i = 0; i < entries; i++) {
        Bytes *entry = strings + 1 + i * ENTRY_STRINGS;
        append(&worker.out, "$1\r\n4\r\n", 7);
        append_string(&worker.out, entry[0]);
        append_string(&worker.out, entry[1]);
        append(&worker.out, outcome_tail.at, outcome_tail.size);
    }
}

/* Read on, and delete the replies and inbox entries that the answer in `strings` held. Says how many answers will come
   before that of the read. */
static int read_inbox(void) {
    Buffer keys = {0};
    long count = 0;
    for (size_t i = 1; i < found; i++) {
        if (strings[i].size != JOB_LENGTH) {
            if (memchr(strings[i].at, '-', strings[i].size)) /* an entry's id, no job's */
                snprintf(cursor, sizeof cursor, "%.*s", (int)strings[i].size, strings[i].at);
            else
                i++; /* the mark of a new inbox and its value */
            continue;
        }
        appendf(&keys, "$%zu\r\n%s", reply_prefix.size + JOB_LENGTH, reply_prefix.at);
        append(&keys, strings[i].at, JOB_LENGTH);
        append(&keys, "\r\n", 2);
        count++, i++;
    }
    if (count) {
        appendf(&reader.out, "*%ld\r\n$6\r\nUNLINK\r\n", count + 1);
        append(&reader.out, keys.at, keys.size);
        append(&reader.out, trim_head.at, trim_head.size);
        appendf(&reader.out, "$%zu\r\n%s\r\n", strlen(cursor), cursor);
    }
    append(&reader.out, read_head.at, read_head.size);
    appendf(&reader.out, "$%zu\r\n%s\r\n", strlen(cursor), cursor);
    done += count;
    free(keys.at);
    return count ? 2 : 0;
}

static void run(void) {
    int cycling = 0, news = 0, skipped = 0;
    submit_ahead();
    found = 0;
    int skip = read_inbox();
    while (done < jobs) {
        Link *links[] = {&sender, &worker, &reader};
        struct pollfd waits[3];
        for (int i = 0; i < 3; i++) {
            flush(links[i]);
            waits[i] = (struct pollfd){links[i]->socket, POLLIN | (links[i]->out.size ? POLLOUT : 0), 0};
        }
        if (poll(waits, 3, 20000) < 1) fail("no answer for 20 s", "", 0);
        for (int i = 0; i < 3; i++)
            if (waits[i].revents & POLLIN) receive(links[i]);
        char *end;
        while ((end = answer(&sender))) answered++, news = 1, consume(&sender, end), submit_ahead();
        if (cycling && (end = answer(&worker))) {
            if ((cycling = found > 1)) cycle(); /* with nothing taken it waits for the next batch, as workers do */
            consume(&worker, end);
        }
        if (!cycling && news) found = 0, cycle(), cycling = 1, news = 0;
        while ((end = answer(&reader))) {
            if (skipped++ == skip) skip = read_inbox(), skipped = 0;
            consume(&reader, end);
        }
    }
}

int main(int count, char **given) {
    if (count != 4 || !(spec = fopen(given[1], "rb"))) fail("usage: limit SPEC HOST PORT", "", 0);
    jobs = atol(next_block().at), batch_count = atol(next_block().at), cycle_arguments = atol(next_block().at);
    cycle_fixed = next_block(), outcome_tail = next_block(), reply_prefix = next_block();
    read_head = next_block(), trim_head = next_block();
    batches = malloc(batch_count * sizeof *batches);
    for (long i = 0; i < batch_count; i++) batches[i] = next_block();
    connect_to(&sender, given[2], atoi(given[3]));
    connect_to(&worker, given[2], atoi(given[3]));
    connect_to(&reader, given[2], atoi(given[3]));
    double begun = seconds(CLOCK_MONOTONIC), busy = seconds(CLOCK_PROCESS_CPUTIME_ID);
    run();
    printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - begun, seconds(CLOCK_PROCESS_CPUTIME_ID) - busy);
    return 0;
}
