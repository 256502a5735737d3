/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use: its affinity mask, and the CPU quota of its control group (v2 cpu.max, v1
 * cpu.cfs_quota_us), of that group and of all above it. */
#define _GNU_SOURCE
#include "base/threads.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/file.h"
#include "base/size.h"

static int from_affinity(void)
{
    enum { CPUS = 8192 };
    unsigned long mask[CPUS / (8 * sizeof(unsigned long))];
    if (sched_getaffinity(0, sizeof mask, (cpu_set_t *)(void *)mask) != 0)
        return (int)pi_max_i64(1, pi_min_i64(sysconf(_SC_NPROCESSORS_ONLN), PI_MAX_THREADS));
    int n = 0;
    for (size_t i = 0; i < sizeof mask / sizeof *mask; i++) n += __builtin_popcountl(mask[i]);
    return n > 0 ? n : 1;
}

/* CPUs of a quota, rounded up; INT_MAX: no limit. */
static int cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= INT_MAX - 1) return INT_MAX;
    return (int)(quota / period) + (quota % period != 0);
}

static int quota_v2(const char *folder)
{
    char path[1800], text[64];
    long long quota, period;
    (void)snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!pi_file_text(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2) return INT_MAX;
    return cpus_of(quota, period);
}

static int quota_v1(const char *folder)
{
    char path[1800], text[64];
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!pi_file_text(path, text, sizeof text)) return INT_MAX;
    long long quota = strtoll(text, NULL, 10);
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return pi_file_text(path, text, sizeof text) ? cpus_of(quota, strtoll(text, NULL, 10)) : INT_MAX;
}

/* The smallest quota of root + group and each group above. */
static int quota_of_group(const char *root, const char *group, int (*quota)(const char *folder))
{
    char folder[1700];
    int least = quota(root);
    (void)snprintf(folder, sizeof folder, "%s%s", root, group);
    for (size_t n = strlen(folder); n > strlen(root); folder[n] = '\0') {
        int here = quota(folder);
        if (here < least) least = here;
        while (n > strlen(root) && folder[--n] != '/') continue;
    }
    return least;
}

/* "cpu" is one of the comma-separated controllers. */
static bool controls_cpu(const char *controllers)
{
    for (const char *at = controllers; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0')) return true;
    }
    return false;
}

static int quota_below(const char *root, const char *mounted, const char *group, int (*quota)(const char *folder))
{
    char folder[600];
    (void)snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, mounted);
    return quota_of_group(folder, group, quota);
}

static int quota_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) return INT_MAX;
    *path++ = '\0';
    controllers++;
    const char *group = strcmp(path, "/") == 0 ? "" : path;
    if (!*controllers) {
        int here = quota_below(root, "", group, quota_v2), hybrid = quota_below(root, "/unified", group, quota_v2);
        return here < hybrid ? here : hybrid;
    }
    return controls_cpu(controllers) ? quota_below(root, "/cpu", group, quota_v1) : INT_MAX;
}

/* Lines of /proc/self/cgroup: "0::/group" for v2, "4:cpu,cpuacct:/group" for v1. In a container the path may be the
 * host's, of which only the root is seen here: that is why the root's quota is always looked at. */
int pi_threads_quota(const char *root)
{
    char text[4096], path[600];
    int least = INT_MAX;
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    (void)pi_file_text(path, text, sizeof text);
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        int here = quota_of_line(root, line);
        if (here < least) least = here;
    }
    return least;
}

int pi_threads_default(const char **why)
{
    const char *text = getenv("PYINFER_THREADS"), *reason = "affinity mask";
    int n = from_affinity(), quota = pi_threads_quota("");
    if (quota < n) {
        n = quota;
        reason = "cgroup quota";
    }
    if (text && *text) {
        char *end;
        errno = 0;
        long wanted = strtol(text, &end, 10);
        if (errno == 0 && *end == '\0' && wanted > 0) {
            n = wanted > PI_MAX_THREADS ? PI_MAX_THREADS : (int)wanted;
            reason = "PYINFER_THREADS";
        }
    }
    if (why) *why = reason;
    return n > PI_MAX_THREADS ? PI_MAX_THREADS : n;
}

static bool is_openmp(const char *path)
{
    const char *name = strrchr(path, '/');
    return name && (strstr(name, "libgomp") || strstr(name, "libiomp") || strstr(name, "libomp"));
}

/* `path` is one of those in `text`. */
static bool has_path(const char *text, const char *path)
{
    size_t n = strlen(path);
    for (const char *at = text; (at = strstr(at, path)); at += n)
        if ((at == text || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

void pi_threads_describe(char *text, unsigned long size)
{
    enum { ROOM = 2 << 20 };
    if (size == 0) return;
    text[0] = '\0';
    char *maps = pi_alloc(NULL, ROOM, NULL);
    if (!maps) return;
    size_t used = 0;
    (void)pi_file_text("/proc/self/maps", maps, ROOM);
    for (char *line = maps, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        const char *path = strchr(line, '/');
        if (!path || !is_openmp(path) || has_path(text, path)) continue;
        size_t n = strlen(path) + (used ? 2 : 0);
        if (n >= size - used) continue; /* no room */
        (void)snprintf(text + used, size - used, "%s%s", used ? ", " : "", path);
        used += n;
    }
    pi_free(maps);
}
