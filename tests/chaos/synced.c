/* What of the append-only file is on the disk: preloaded into the server, it writes into the file CHAOS_SYNCED how long
   the log was when the last sync that has ended began (a 64-bit number), and when that was (a double, in seconds of the
   monotonic clock). All beyond that length may be gone when the machine goes down. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char LOG[] = ".incr.aof";
static volatile struct { int64_t length; double at; } *synced;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_SYNCED");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *place = mmap(0, sizeof *synced, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (place != MAP_FAILED) synced = place;
}

static int is_log(int file) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    ssize_t end = sizeof LOG - 1;
    return length >= end && !memcmp(path + length - end, LOG, end);
}

static int sync_by(long call, int file) {
    struct stat before;
    struct timespec now;
    int known = synced && is_log(file) && !fstat(file, &before);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    int answer = (int)syscall(call, file);
    if (known && answer == 0) {
        synced->length = before.st_size;
        synced->at = now.tv_sec + now.tv_nsec / 1e9;
    }
    return answer;
}

int fdatasync(int file) { return sync_by(SYS_fdatasync, file); }
int fsync(int file) { return sync_by(SYS_fsync, file); }
