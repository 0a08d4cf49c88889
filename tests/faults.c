/* Faults on demand, for LD_PRELOAD: counts the system calls that touch paths below one folder, in a process
 * and all it starts, and makes the n-th fail, be short, or be the last thing that the process does.
 *
 * What to do stands in a file that is mapped by everyone concerned: R1_FAULTS names it, or faults_use() does.
 * Calls that the C library makes within itself (fopen) are not seen; Python, Rust and torch's writers call
 * what stands here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum how { COUNT, FAIL, FAIL_ON, SHORT, SHORT_ON, KILL_BEFORE, KILL_AFTER, SHRINK };
enum kind { ALTER = 1, READ = 2, CLOCK = 4 };

struct point { char call[16]; char path[240]; };
struct plan {
    char root[512];
    int32_t how, error, kinds, leader;
    int64_t at;
    _Atomic int64_t count;
    _Atomic int32_t fired;
    int32_t spare;
    struct point points[4096];
};
static struct plan *plan;

#define REAL(name, ...) ({ static __typeof__(&name) real; \
    if (!real) { real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); } real(__VA_ARGS__); })

void faults_use(const char *path) {
    int fd = REAL(open, path, O_RDWR | O_CLOEXEC);
    plan = NULL;
    if (fd < 0) return;
    void *found = REAL(mmap, NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REAL(close, fd);
    if (found != MAP_FAILED) plan = found;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("R1_FAULTS");
    if (path && *path) faults_use(path);
}

static int below(const char *path) {
    size_t n = strlen(plan->root);
    return !strncmp(path, plan->root, n) && (path[n] == '/' || !path[n]);
}

static int path_of(int fd, char *found, size_t size) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, found, size - 1);
    if (n < 0) return 0;
    found[n] = 0;
    return 1;
}

static int resolved(int dir, const char *path, char *found, size_t size) {
    if (!path) return 0;
    if (*path == '/') return snprintf(found, size, "%s", path) > 0;
    char base[512];
    if (dir == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(dir, base, sizeof base)) return 0;
    return snprintf(found, size, "%s/%s", base, path) > 0;
}

static void die(void) {
    kill(plan->leader, SIGKILL);
    for (;;) pause();
}

/* What is to be done with this call: 0 nothing, else the `how` that has come due. Sets errno. */
static int due(enum kind kind, const char *call, const char *path, int grows) {
    if (!plan || !(plan->kinds & kind) || !below(path)) return 0;
    int64_t n = atomic_fetch_add(&plan->count, 1) + 1;
    if (n <= 4096) {
        struct point *p = &plan->points[n - 1];
        snprintf(p->call, sizeof p->call, "%s", call);
        snprintf(p->path, sizeof p->path, "%s", path + strlen(plan->root));
    }
    int how = plan->how, later = (how == FAIL_ON || how == SHORT_ON) && n > plan->at;
    if (how == COUNT || (n != plan->at && !later)) return 0;
    if (later && plan->error == ENOSPC && !grows) return 0; /* a full disk lets one delete and close */
    atomic_store(&plan->fired, 1);
    if (how == KILL_BEFORE) die();
    if (later) how = FAIL;
    if (how == FAIL_ON) how = FAIL;
    if (how == SHORT_ON) how = SHORT;
    if (how == FAIL) errno = plan->error;
    return how;
}

static int saved_return(int how, long value) {
    (void)value;
    if (how == KILL_AFTER) die();
    return 0;
}

#define PATH_CALL(type, name, label, dir, path, grows, declared, ...) \
    type name declared { char full[1024]; int how = 0; \
        if (plan && resolved(dir, path, full, sizeof full)) how = due(ALTER, label, full, grows); \
        if (how == FAIL) return -1; \
        type value = REAL(name, __VA_ARGS__); int kept = errno; \
        saved_return(how, value); errno = kept; return value; }

PATH_CALL(int, mkdir, "mkdir", AT_FDCWD, path, 1, (const char *path, mode_t mode), path, mode)
PATH_CALL(int, mkdirat, "mkdir", dir, path, 1, (int dir, const char *path, mode_t mode), dir, path, mode)
PATH_CALL(int, rmdir, "rmdir", AT_FDCWD, path, 0, (const char *path), path)
PATH_CALL(int, unlink, "unlink", AT_FDCWD, path, 0, (const char *path), path)
PATH_CALL(int, unlinkat, "unlink", dir, path, 0, (int dir, const char *path, int flags), dir, path, flags)
PATH_CALL(int, chmod, "chmod", AT_FDCWD, path, 0, (const char *path, mode_t mode), path, mode)
PATH_CALL(int, fchmodat, "chmod", dir, path, 0,
          (int dir, const char *path, mode_t mode, int flags), dir, path, mode, flags)
PATH_CALL(int, rename, "rename", AT_FDCWD, to, 0, (const char *from, const char *to), from, to)
PATH_CALL(int, renameat, "rename", dir, to, 0,
          (int old, const char *from, int dir, const char *to), old, from, dir, to)
PATH_CALL(int, renameat2, "rename", dir, to, 0,
          (int old, const char *from, int dir, const char *to, unsigned flags), old, from, dir, to, flags)
PATH_CALL(int, link, "link", AT_FDCWD, to, 1, (const char *from, const char *to), from, to)
PATH_CALL(int, linkat, "link", dir, to, 1,
          (int old, const char *from, int dir, const char *to, int flags), old, from, dir, to, flags)
PATH_CALL(int, symlink, "symlink", AT_FDCWD, to, 1, (const char *from, const char *to), from, to)
PATH_CALL(int, symlinkat, "symlink", dir, to, 1, (const char *from, int dir, const char *to), from, dir, to)
PATH_CALL(int, truncate, "truncate", AT_FDCWD, path, 1, (const char *path, off_t size), path, size)
PATH_CALL(int, truncate64, "truncate", AT_FDCWD, path, 1, (const char *path, off64_t size), path, size)
PATH_CALL(int, utimensat, "utimes", dir, path, 0,
          (int dir, const char *path, const struct timespec times[2], int flags), dir, path, times, flags)

static void shrink(const char *path) {
    struct stat now;
    if (!stat(path, &now)) REAL(truncate, path, now.st_size / 2);
}

#define OPEN_CALL(name, dir, declared, last, ...) \
    int name declared { mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        char full[1024]; int how = 0, alters = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; \
        if (plan && resolved(dir, path, full, sizeof full)) \
            how = due(alters ? ALTER : READ, "open", full, flags & O_CREAT); \
        if (how == FAIL) return -1; \
        if (how == SHRINK) shrink(full); \
        int value = REAL(name, __VA_ARGS__, mode), kept = errno; \
        saved_return(how, value); errno = kept; return value; }

OPEN_CALL(open, AT_FDCWD, (const char *path, int flags, ...), flags, path, flags)
OPEN_CALL(open64, AT_FDCWD, (const char *path, int flags, ...), flags, path, flags)
OPEN_CALL(openat, dir, (int dir, const char *path, int flags, ...), flags, dir, path, flags)
OPEN_CALL(openat64, dir, (int dir, const char *path, int flags, ...), flags, dir, path, flags)

#define FD_CALL(kind, type, name, label, fd, grows, declared, ...) \
    type name declared { char full[1024]; int how = 0; \
        if (plan && path_of(fd, full, sizeof full)) how = due(kind, label, full, grows); \
        if (how == FAIL) return -1; \
        if (how == SHRINK) shrink(full); \
        type value = REAL(name, __VA_ARGS__); int kept = errno; \
        saved_return(how, value); errno = kept; return value; }

FD_CALL(ALTER, int, fsync, "fsync", fd, 0, (int fd), fd)
FD_CALL(ALTER, int, fdatasync, "fsync", fd, 0, (int fd), fd)
FD_CALL(ALTER, int, fchmod, "chmod", fd, 0, (int fd, mode_t mode), fd, mode)
FD_CALL(ALTER, int, ftruncate, "ftruncate", fd, 1, (int fd, off_t size), fd, size)
FD_CALL(ALTER, int, ftruncate64, "ftruncate", fd, 1, (int fd, off64_t size), fd, size)
FD_CALL(ALTER, ssize_t, writev, "writev", fd, 1, (int fd, const struct iovec *parts, int n), fd, parts, n)
FD_CALL(ALTER, ssize_t, copy_file_range, "copy", out, 1,
          (int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags),
          in, from, out, to, n, flags)
FD_CALL(ALTER, ssize_t, sendfile, "copy", out, 1, (int out, int in, off_t *from, size_t n), out, in, from, n)
FD_CALL(ALTER, ssize_t, sendfile64, "copy", out, 1,
          (int out, int in, off64_t *from, size_t n), out, in, from, n)
FD_CALL(READ, ssize_t, read, "read", fd, 0, (int fd, void *data, size_t n), fd, data, n)
FD_CALL(READ, ssize_t, pread, "read", fd, 0, (int fd, void *data, size_t n, off_t at), fd, data, n, at)
FD_CALL(READ, ssize_t, pread64, "read", fd, 0, (int fd, void *data, size_t n, off64_t at), fd, data, n, at)

#define WRITE_CALL(name, declared, ...) \
    ssize_t name declared { char full[1024]; int how = 0; \
        if (plan && path_of(fd, full, sizeof full)) how = due(ALTER, "write", full, 1); \
        if (how == FAIL) return -1; \
        if (how == SHORT && n > 1) n /= 2; \
        ssize_t value = REAL(name, __VA_ARGS__); int kept = errno; \
        saved_return(how, value); errno = kept; return value; }

WRITE_CALL(write, (int fd, const void *data, size_t n), fd, data, n)
WRITE_CALL(pwrite, (int fd, const void *data, size_t n, off_t at), fd, data, n, at)
WRITE_CALL(pwrite64, (int fd, const void *data, size_t n, off64_t at), fd, data, n, at)

int close(int fd) {
    char full[1024];
    int how = 0, flags;
    if (plan && (flags = fcntl(fd, F_GETFL)) >= 0 && (flags & O_ACCMODE) != O_RDONLY
            && path_of(fd, full, sizeof full))
        how = due(ALTER, "close", full, 0);
    int error = errno, value = REAL(close, fd);
    if (how == FAIL) { errno = error; return -1; } /* the descriptor is closed all the same */
    int kept = errno;
    saved_return(how, value);
    errno = kept;
    return value;
}

#define MMAP_CALL(name, type) \
    void *name(void *where, size_t n, int access, int flags, int fd, type at) { \
        char full[1024]; int how = 0; \
        int alters = (flags & MAP_TYPE) != MAP_PRIVATE && access & PROT_WRITE; \
        if (plan && fd >= 0 && !(flags & MAP_ANONYMOUS) && path_of(fd, full, sizeof full)) \
            how = due(alters ? ALTER : READ, "mmap", full, 1); \
        if (how == FAIL) return MAP_FAILED; \
        void *value = REAL(name, where, n, access, flags, fd, at); int kept = errno; \
        if (how == SHRINK) shrink(full); \
        saved_return(how, 0); errno = kept; return value; }

MMAP_CALL(mmap, off_t)
MMAP_CALL(mmap64, off64_t)

/* The wall clock leaps a year to and fro at each look. */
static time_t leap(void) {
    static _Atomic int n;
    return plan && plan->kinds & CLOCK ? (atomic_fetch_add(&n, 1) % 2 ? -1 : 1) * 31557600L : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int value = REAL(clock_gettime, clock, now);
    if (!value && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += leap();
    return value;
}

int gettimeofday(struct timeval *now, void *zone) {
    int value = REAL(gettimeofday, now, zone);
    if (!value) now->tv_sec += leap();
    return value;
}

time_t time(time_t *where) {
    struct timespec now;
    REAL(clock_gettime, CLOCK_REALTIME, &now);
    time_t value = now.tv_sec + leap();
    if (where) *where = value;
    return value;
}
