/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel work: each index exactly once, whatever the sizes; nested; after fork; the caller's floating-point state. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <fenv.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

/* The thread sanitizer would end a child of fork that starts threads. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }

enum { MOST = 5000 };
typedef struct {
    unsigned char count[MOST]; /* atomic */
    int64_t grain;
    int threads, bad;          /* atomic */
} coverage;

static void cover(void *arg, int64_t begin, int64_t end, int thread)
{
    coverage *c = arg;
    if (begin >= end || begin % c->grain != 0 || thread < 0 || (thread > 0 && thread >= c->threads))
        __atomic_add_fetch(&c->bad, 1, __ATOMIC_RELAXED);
    for (int64_t i = begin; i < end; i++) __atomic_add_fetch(&c->count[i], 1, __ATOMIC_RELAXED);
}

static bool covers(int threads, int64_t n, int64_t grain)
{
    static coverage c;
    memset(&c, 0, sizeof c);
    c.grain = grain < 1 ? 1 : grain;
    c.threads = threads;
    pi_parallel(threads, n, grain, cover, &c);
    for (int64_t i = 0; i < MOST; i++) c.bad += c.count[i] != (i < n);
    if (c.bad) fprintf(stderr, "%d threads, n = %lld, grain = %lld\n", threads, (long long)n, (long long)grain);
    return c.bad == 0;
}

static void test_cover(void)
{
    static const int threads[] = {-1, 0, 1, 2, 3, 5, 16, 70};
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 64, 65, 1001, 4999}, grains[] = {-7, 0, 1, 2, 3, 16, 33, 1000, 6000};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) CHECK(covers(threads[t], sizes[n], grains[g]));
    CHECK(covers(PI_MAX_THREADS, 4000, 1));
    CHECK(covers(1 << 30, 4000, 1));
    CHECK(covers(2, -3, 1));
}

/* Ranges that no memory could hold: the bounds must not overflow. */
typedef struct {
    uint64_t sum; /* atomic */
    int calls;    /* atomic */
} lengths;

static void add_length(void *arg, int64_t begin, int64_t end, int thread)
{
    lengths *l = arg;
    (void)thread;
    __atomic_add_fetch(&l->sum, (uint64_t)end - (uint64_t)begin, __ATOMIC_RELAXED);
    __atomic_add_fetch(&l->calls, 1, __ATOMIC_RELAXED);
}

static void test_huge(void)
{
    static const int64_t grains[] = {1, 2, 3, INT64_MAX / 3, INT64_MAX / 2 + 1, INT64_MAX - 1, INT64_MAX};
    for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
        lengths l = {0};
        pi_parallel(3, INT64_MAX, grains[g], add_length, &l);
        CHECK(l.sum == INT64_MAX && l.calls >= 1);
    }
}

/* ---- nested, and from several threads ---- */

static void nested(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    for (int64_t i = begin; i < end; i++) pi_parallel(3, 100, 1, add_length, arg);
}

static void *from_a_thread(void *arg)
{
    for (int i = 0; i < 50; i++) pi_parallel(2, 100, 3, add_length, arg);
    return NULL;
}

static void test_nested(void)
{
    lengths l = {0};
    pi_parallel(3, 10, 1, nested, &l);
    CHECK(l.sum == 1000 && l.calls >= 10);
    pthread_t thread[3];
    l.sum = 0;
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&thread[i], NULL, from_a_thread, &l) == 0);
    for (int i = 0; i < 3; i++) (void)pthread_join(thread[i], NULL);
    CHECK(l.sum == 3 * 50 * 100);
}

/* ---- teams ---- */

enum { ROUNDS = 300, MOST_MEMBERS = 16 };
typedef struct {
    pi_barrier barrier;
    int value[2][MOST_MEMBERS], members, came, bad; /* the last two atomic */
} rounds;

/* In each round everybody reads what everybody wrote in the round before. */
static void take_part(void *arg, int member, int members)
{
    rounds *r = arg;
    __atomic_add_fetch(&r->came, 1, __ATOMIC_RELAXED);
    if (member == 0) r->members = members;
    if (member < 0 || member >= members || members > MOST_MEMBERS) __atomic_add_fetch(&r->bad, 1000000, __ATOMIC_RELAXED);
    for (int i = 1; i <= ROUNDS; i++) {
        r->value[i & 1][member] = i * (member + 1);
        pi_barrier_wait(&r->barrier, members);
        for (int k = 0; k < members; k++)
            if (r->value[i & 1][k] != i * (k + 1)) __atomic_add_fetch(&r->bad, 1, __ATOMIC_RELAXED);
    }
}

static void team_inside(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)begin, (void)end, (void)thread;
    static rounds r;
    if (begin != 0) return;
    pi_parallel_team(3, take_part, &r);
    *(int *)arg = r.members == 1 && r.came == 1 && r.bad == 0;
}

static void test_team(void)
{
    static const int threads[] = {-1, 0, 1, 2, 3, 7, MOST_MEMBERS};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
        for (int again = 0; again < 3; again++) {
            static rounds r;
            memset(&r, 0, sizeof r);
            pi_parallel_team(threads[t], take_part, &r);
            CHECK(r.bad == 0 && r.came == r.members && r.members >= 1);
            CHECK(r.members <= (threads[t] < 1 ? 1 : threads[t]));
        }
    int good = 0;
    pi_parallel(2, 2, 1, team_inside, &good);
    CHECK(good);
}

/* ---- fork ---- */

static int child_status(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool works(void)
{
    lengths l = {0};
    pi_parallel(2, 1000, 1, add_length, &l);
    return l.sum == 1000 && l.calls > 1;
}

static void fork_inside(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)end, (void)thread;
    if (begin != 0) return;
    pid_t child = fork();
    if (child == 0) { /* inside a region: all on this thread, but no hang */
        lengths l = {0};
        (void)alarm(20);
        pi_parallel(2, 1000, 1, add_length, &l);
        _exit(l.sum == 1000 ? 0 : 1);
    }
    *(int *)arg = child_status(child);
}

static void test_fork(void)
{
    for (int i = 0; i < 3; i++) {
        CHECK(works());
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(20);
            bool good = works() && works();
            pid_t grandchild = good ? fork() : -1;
            if (grandchild == 0) _exit(works() ? 0 : 1);
            _exit(grandchild > 0 && child_status(grandchild) == 0 ? 0 : 1);
        }
        CHECK(child > 0 && child_status(child) == 0);
        CHECK(works());
    }
    int status = -1;
    pi_parallel(2, 2, 1, fork_inside, &status);
    CHECK(status == 0);
    CHECK(works());
}

/* ---- the floating-point state ---- */

static volatile float tiny = 1e-39f;
static bool flushes(void) { return tiny * 1.0f == 0; }

typedef struct {
    int kept, flushed; /* atomic */
} modes;

static void look(void *arg, int64_t begin, int64_t end, int thread)
{
    modes *m = arg;
    (void)thread;
    __atomic_add_fetch(flushes() ? &m->flushed : &m->kept, (int)(end - begin), __ATOMIC_RELAXED);
    for (volatile int wait = 0; wait < 20000;) wait = wait + 1; /* let each thread have some */
}

static void test_state(void)
{
#if defined(__x86_64__)
    static const unsigned states[] = {0x1f80, 0x1fbf, 0x1f80 | 0x6000, 0x1f80 | 0x8000, 0x1f80 & ~0x0200u};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        pi_threads_state saved;
        __builtin_ia32_ldmxcsr(states[i]); /* usual, sticky flags, round to zero, flushing, a trap for division */
        pi_threads_enter(2, &saved);
        CHECK(flushes() && (__builtin_ia32_stmxcsr() & 0x7f80) == 0x1f80);
        volatile float zero = 0, infinite = 1 / zero; /* no trap */
        CHECK(infinite > 1);
        modes m = {0};
        pi_parallel(2, 200, 1, look, &m);
        CHECK(m.kept == 0 && m.flushed == 200);
        pi_threads_leave(&saved);
        CHECK(__builtin_ia32_stmxcsr() == states[i]);
    }
    __builtin_ia32_ldmxcsr(0x1f80);
    modes m = {0};
    pi_parallel(2, 200, 1, look, &m); /* workers flush also without enter, and give their own state back */
    CHECK(m.flushed == 200 && !flushes() && (__builtin_ia32_stmxcsr() & ~0x3fu) == 0x1f80);
#endif
    pi_threads_state outer, inner;
    pi_threads_enter(3, &outer);
    pi_threads_enter(2, &inner);
    CHECK(inner.omp_threads == 3);
    pi_threads_leave(&inner);
    pi_threads_enter(-4, &inner);
    CHECK(inner.omp_threads == 3);
    pi_threads_leave(&inner);
    pi_threads_leave(&outer);
    pi_threads_enter(1, &inner);
    CHECK(inner.omp_threads == outer.omp_threads);
    pi_threads_leave(&inner);
    CHECK(fegetround() == FE_TONEAREST);
}

/* ---- limits ---- */

static void test_default(void)
{
    const char *why = NULL;
    (void)unsetenv("PYINFER_THREADS");
    int n = pi_threads_default(&why);
    CHECK(n >= 1 && n <= PI_MAX_THREADS && why && strlen(why) > 3 && pi_threads_default(NULL) == n);
    static const struct {
        const char *text;
        int threads; /* 0: not taken */
    } rows[] = {{"3", 3}, {"1", 1}, {"999999", PI_MAX_THREADS}, {"0", 0}, {"-2", 0}, {"", 0}, {"4x", 0}, {"99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)setenv("PYINFER_THREADS", rows[i].text, 1);
        CHECK(pi_threads_default(&why) == (rows[i].threads ? rows[i].threads : n));
        CHECK((strcmp(why, "PYINFER_THREADS") == 0) == (rows[i].threads > 0));
    }
    (void)unsetenv("PYINFER_THREADS");
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(pi_threads_default(NULL) == 1);
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
    CHECK(pi_threads_default(NULL) == n);
}

/* Writes `text` to root/path; makes the folders. */
static void put(const char *root, const char *path, const char *text)
{
    char name[300];
    int n = snprintf(name, sizeof name, "%s/%s", root, path);
    for (int i = (int)strlen(root) + 1; i < n; i++)
        if (name[i] == '/') {
            name[i] = '\0';
            (void)mkdir(name, 0700);
            name[i] = '/';
        }
    FILE *f = fopen(name, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static int remove_one(const char *path, const struct stat *s, int flag, struct FTW *ftw)
{
    (void)s, (void)flag, (void)ftw;
    return remove(path);
}

static void test_quota(void)
{
    static const struct {
        const char *groups; /* /proc/self/cgroup */
        struct {
            const char *path, *text;
        } file[3];
        int cpus;
    } rows[] = {
        {"0::/\n", {{0}}, INT_MAX},
        {"0::/\n", {{"cpu.max", "max 100000\n"}}, INT_MAX},
        {"0::/\n", {{"cpu.max", "200000 100000\n"}}, 2},
        {"0::/\n", {{"cpu.max", "150000 100000\n"}}, 2},
        {"0::/\n", {{"cpu.max", "1000 100000\n"}}, 1},
        {"0::/\n", {{"cpu.max", "0 0\n"}}, INT_MAX},
        {"0::/\n", {{"cpu.max", "-5 100000\n"}}, INT_MAX},
        {"0::/\n", {{"cpu.max", "9223372036854775807 1\n"}}, INT_MAX},
        {"0::/\n", {{"cpu.max", "9223372036854775807 9223372036854775806\n"}}, 2},
        {"0::/\n", {{"cpu.max", "junk\n"}}, INT_MAX},
        {"0::/a/b\n", {{"a/b/cpu.max", "300000 100000\n"}}, 3},
        {"0::/a/b\n", {{"a/b/cpu.max", "max 100000\n"}, {"a/cpu.max", "400000 100000\n"}}, 4}, /* the group above */
        {"0::/a/b\n", {{"a/b/cpu.max", "500000 100000\n"}, {"a/cpu.max", "400000 100000\n"}, {"cpu.max", "600000 100000\n"}}, 4},
        {"0::/a\n", {{"a/b/cpu.max", "100000 100000\n"}, {"ab/cpu.max", "100000 100000\n"}}, INT_MAX}, /* not ours */
        {"0::/docker/x\n", {{"cpu.max", "200000 100000\n"}}, 2}, /* the host's path, the container's mount */
        {"0::/../../x\n", {{"cpu.max", "200000 100000\n"}}, 2},
        {"3:cpu,cpuacct:/j\n0::/\n", {{"cpu/j/cpu.cfs_quota_us", "350000\n"}, {"cpu/j/cpu.cfs_period_us", "100000\n"}}, 4},
        {"3:cpuacct,cpu:/j\n", {{"cpu/j/cpu.cfs_quota_us", "100000\n"}, {"cpu/j/cpu.cfs_period_us", "50000\n"}}, 2},
        {"3:cpu:/\n", {{"cpu/cpu.cfs_quota_us", "-1\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}, INT_MAX},
        {"3:cpu:/\n", {{"cpu/cpu.cfs_quota_us", "100000\n"}}, INT_MAX}, /* without a period */
        {"3:cpuset,cpuacct:/j\n", {{"cpu/j/cpu.cfs_quota_us", "100000\n"}, {"cpu/j/cpu.cfs_period_us", "50000\n"}}, INT_MAX},
        {"1:name=systemd:/\n0::/a\n", {{"unified/a/cpu.max", "100000 100000\n"}}, 1},
        {"junk\n:\n::\n0:\n\n0::", {{"cpu.max", "200000 100000\n"}}, 2},
        {"", {{"cpu.max", "200000 100000\n"}}, INT_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char root[] = "/tmp/test_base_quota.XXXXXX", path[200];
        CHECK(mkdtemp(root) != NULL);
        put(root, "proc/self/cgroup", rows[i].groups);
        for (int k = 0; k < 3 && rows[i].file[k].path; k++) {
            (void)snprintf(path, sizeof path, "sys/fs/cgroup/%s", rows[i].file[k].path);
            put(root, path, rows[i].file[k].text);
        }
        int cpus = pi_threads_quota(root);
        if (cpus != rows[i].cpus) fprintf(stderr, "row %zu: %d\n", i, cpus);
        CHECK(cpus == rows[i].cpus);
        CHECK(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    }
    CHECK(pi_threads_quota("/no/such/folder") == INT_MAX);
}

static void test_describe(void)
{
    char text[1000], cut[10];
    pi_threads_describe(text, sizeof text);
    CHECK(text[0] == '/' && strstr(text, "libgomp"));
    pi_threads_describe(cut, sizeof cut); /* no room for a path */
    CHECK(cut[0] == '\0');
    pi_threads_describe(NULL, 0);
}

/* ---- places ---- */

typedef struct {
    int seen; /* atomic: bit i: CPU i is in the mask of a thread that is not the caller */
} places;

static void look_where(void *arg, int64_t begin, int64_t end, int thread)
{
    cpu_set_t mask;
    (void)begin, (void)end;
    for (volatile int wait = 0; wait < 20000;) wait = wait + 1;
    if (thread == 0 || sched_getaffinity(0, sizeof mask, &mask) != 0) return;
    for (int i = 0; i < 31; i++)
        if (CPU_ISSET((size_t)i, &mask)) __atomic_or_fetch(&((places *)arg)->seen, 1 << i, __ATOMIC_RELAXED);
}

/* The workers stay off the CPU of their caller, and the caller's own mask is as it was. */
static void test_places(void)
{
    cpu_set_t before, after;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    bool room = CPU_COUNT(&before) >= 2 && CPU_COUNT(&before) <= 31;
    int bad = 0;
    for (int i = 0; i < 50; i++) {
        places p = {0};
        int cpu = sched_getcpu();
        pi_parallel(2, 8, 1, look_where, &p);
        if (sched_getcpu() == cpu && cpu < 31) bad += (p.seen >> cpu) & 1; /* else it moved meanwhile */
        (void)sched_yield();
    }
    CHECK(!room || bad <= 2); /* twice it may have moved there and back */
    CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
}

/* ---- threads apart ---- */

typedef struct {
    unsigned char count[MOST]; /* atomic */
    int64_t stop, last;        /* last: atomic */
    int bad;                   /* atomic */
} apart_check;

static bool apart_one(void *arg, int64_t i, int thread)
{
    apart_check *c = arg;
    static coverage inner[16];
    __atomic_add_fetch(&c->count[i], 1, __ATOMIC_RELAXED);
    if (!pi_threads_apart() || thread < 0 || thread >= 3) __atomic_add_fetch(&c->bad, 1, __ATOMIC_RELAXED);
    inner[thread] = (coverage){.grain = 1, .threads = 1};
    pi_parallel(4, 10, 1, cover, &inner[thread]); /* on this thread alone */
    if (inner[thread].bad) __atomic_add_fetch(&c->bad, 1, __ATOMIC_RELAXED);
    return i != c->stop;
}

static void test_apart(void)
{
    static apart_check c;
    for (int threads = 1; threads <= 3; threads++) {
        memset(&c, 0, sizeof c);
        c.stop = -1;
        pi_apart(threads, 2, 200, apart_one, &c);
        for (int i = 0; i < 200; i++) CHECK(c.count[i] == 1);
        CHECK(c.bad == 0 && !pi_threads_apart());
        memset(&c, 0, sizeof c);
        c.stop = 50; /* all before have begun, and not many after */
        pi_apart(threads, 2, 200, apart_one, &c);
        for (int i = 0; i <= 50; i++) CHECK(c.count[i] == 1);
        CHECK(c.bad == 0 && c.count[199] == 0);
    }
    pi_apart(3, 1, 0, apart_one, &c);
}

int main(void)
{
    (void)alarm(110);
    test_cover();
    test_huge();
    test_nested();
    test_team();
    test_apart();
    test_fork();
    test_state();
    test_places();
    test_default();
    test_quota();
    test_describe();
    return CHECK_DONE();
}
