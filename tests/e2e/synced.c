/* Not a test: writes down, in order, what a process asks the file system to do, so that a test can
   build what a machine that lost its power at any moment would find. LD_PRELOAD; one line per call
   in the file that SYNCED names; data in hex. Only paths under SYNCED_UNDER are written down, and
   what is sent over sockets: an acknowledgement is a promise about what was synced before it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int out = -1;
static const char *under;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    under = getenv("SYNCED_UNDER");
    if (getenv("SYNCED") && under)
        out = open(getenv("SYNCED"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int named(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strncmp(path, under, strlen(under)) == 0;
}

static void say(const char *kind, const char *path, long long at, const void *data, size_t n) {
    if (out < 0) return;
    int kept = errno;
    char *line = malloc(2 * n + 2 * PATH_MAX + 64);
    int at_ = sprintf(line, "%s\t%s\t%lld\t", kind, path, at);
    for (size_t i = 0; i < n; i++)
        at_ += sprintf(line + at_, "%02x", ((const unsigned char *)data)[i]);
    line[at_++] = '\n';
    pthread_mutex_lock(&lock);
    real_write(out, line, at_);
    pthread_mutex_unlock(&lock);
    free(line);
    errno = kept;
}

static void wrote(int fd, const void *data, ssize_t n, long long at) {
    char path[PATH_MAX];
    if (out < 0 || n <= 0 || fd == out) return;
    if (named(fd, path)) say("write", path, at, data, n);
}

ssize_t write(int fd, const void *data, size_t n) {
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    char path[PATH_MAX];
    long long at = -1;
    if (out >= 0 && fd != out && named(fd, path)) {
        int flags = fcntl(fd, F_GETFL);
        at = (flags & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    }
    ssize_t done = real_write(fd, data, n);
    if (at >= 0) wrote(fd, data, done, at);
    return done;
}

#define PWRITE(name, type)                                                       \
    ssize_t name(int fd, const void *data, size_t n, type at) {                  \
        static ssize_t (*real)(int, const void *, size_t, type);                 \
        if (!real) real = dlsym(RTLD_NEXT, #name);                               \
        ssize_t done = real(fd, data, n, at);                                    \
        wrote(fd, data, done, at);                                               \
        return done;                                                             \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(name)                                                               \
    int name(int fd) {                                                           \
        static int (*real)(int);                                                 \
        if (!real) real = dlsym(RTLD_NEXT, #name);                               \
        int done = real(fd);                                                     \
        char path[PATH_MAX];                                                     \
        if (out >= 0 && !done && named(fd, path)) say("sync", path, 0, "", 0);   \
        return done;                                                             \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, type)                                                     \
    int name(int fd, type size) {                                                \
        static int (*real)(int, type);                                           \
        if (!real) real = dlsym(RTLD_NEXT, #name);                               \
        int done = real(fd, size);                                               \
        char path[PATH_MAX];                                                     \
        if (out >= 0 && !done && named(fd, path)) say("size", path, size, "", 0);\
        return done;                                                             \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

static void moved(const char *from, const char *to) {
    if (out >= 0 && strncmp(to, under, strlen(under)) == 0)
        say("name", from, 0, to, strlen(to));
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    int done = real(from, to);
    if (!done) moved(from, to);
    return done;
}

int renameat(int a, const char *from, int b, const char *to) {
    static int (*real)(int, const char *, int, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "renameat");
    int done = real(a, from, b, to);
    if (!done) moved(from, to);
    return done;
}

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real) real = dlsym(RTLD_NEXT, "unlink");
    int done = real(path);
    if (!done && out >= 0 && strncmp(path, under, strlen(under)) == 0)
        say("gone", path, 0, "", 0);
    return done;
}

ssize_t send(int fd, const void *data, size_t n, int flags) {
    static ssize_t (*real)(int, const void *, size_t, int);
    if (!real) real = dlsym(RTLD_NEXT, "send");
    say("sent", "-", 0, data, n); /* before: what follows it is not what it promised */
    return real(fd, data, n, flags);
}
