/* Counts the cores that this process may use. The CPU affinity mask covers taskset, cpusets and
 * batch systems; the quotas of control groups cover containers. The affinity calls are GNU
 * extensions, so only this file defines _GNU_SOURCE. */
#ifdef __linux__
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parallel.h"

enum { PATH_BYTES = 1024, TEXT_BYTES = 4096 };

/* Reads the beginning of a small file as a string; false if there is no such file. */
static bool read_text(const char *path, char text[TEXT_BYTES])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t n;
    if (fd < 0) return false;
    while (length < TEXT_BYTES - 1 && (n = read(fd, text + length, TEXT_BYTES - 1 - length)) > 0)
        length += (size_t)n;
    close(fd);
    text[length] = '\0';
    return length > 0;
}

static bool read_file(const char *folder, const char *name, char text[TEXT_BYTES])
{
    char path[PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && n < PATH_BYTES && read_text(path, text);
}

/* The quota of one control-group folder in cores, rounded up; 0: none. Version 2 has quota and
 * period in one file, and "max" if there is no quota; version 1 has two files, and -1. */
static int64_t quota_of(const char *folder)
{
    char text[TEXT_BYTES];
    char *end = text;
    int64_t quota = 0, period = 0;
    if (read_file(folder, "cpu.max", text)) {
        quota = strtoll(text, &end, 10);
        period = strtoll(end, NULL, 10);
    } else if (read_file(folder, "cpu.cfs_quota_us", text)) {
        quota = strtoll(text, NULL, 10);
        period = read_file(folder, "cpu.cfs_period_us", text) ? strtoll(text, NULL, 10) : 0;
    }
    if (quota <= 0 || period <= 0) return 0;
    return quota / period + (quota % period != 0);
}

/* The least quota from the folder mount + group up to the mount; 0: none. A container may see a
 * group's path from outside, which is not there: then its own group is the mount. */
static int64_t least_quota(const char *mount, const char *group)
{
    char folder[PATH_BYTES];
    const int n = snprintf(folder, sizeof folder, "%s%s", mount, group);
    int64_t least = 0;
    if (n <= 0 || n >= PATH_BYTES) return 0;
    for (;;) {
        const int64_t quota = quota_of(folder);
        char *slash;
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        slash = strrchr(folder + strlen(mount), '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup, "number:controllers:path"; version 2 names no controllers. */
static int64_t quota_of_line(const char *root, char *line)
{
    static const char *const unified[] = {"", "/unified"};
    static const char *const cpu[] = {"/cpu", "/cpu,cpuacct"};
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    const char *const *places = unified;
    int64_t least = 0;
    size_t i;
    if (group == NULL) return 0;
    *group++ = '\0';
    controllers++;
    if (*controllers != '\0') {
        if (strcmp(controllers, "cpu") != 0 && strncmp(controllers, "cpu,", 4) != 0) return 0;
        places = cpu;
    }
    for (i = 0; i < 2; i++) {
        char mount[PATH_BYTES];
        const int n = snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, places[i]);
        const int64_t quota = n > 0 && n < PATH_BYTES ? least_quota(mount, group) : 0;
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
    }
    return least;
}

int32_t dfqi_quota_cores(const char *root)
{
    char path[PATH_BYTES], text[TEXT_BYTES];
    char *line = text;
    int64_t least = 0;
    const int n = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (n <= 0 || n >= PATH_BYTES || !read_text(path, text)) return 0;
    while (*line != '\0') {
        const size_t length = strcspn(line, "\n");
        char *next = line + length + (line[length] != '\0');
        int64_t quota;
        line[length] = '\0';
        quota = quota_of_line(root, line);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        line = next;
    }
    return least < INT32_MAX ? (int32_t)least : INT32_MAX;
}

static int32_t allowed_cores(void)
{
    long n;
#ifdef __linux__
    cpu_set_t set;
    /* Fails on machines with more cores than the set has bits; then all of them count. */
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (int32_t)CPU_COUNT(&set);
#endif
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n >= 1 ? (int32_t)n : 1;
}

int32_t dfqi_this_core(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

int32_t dfqi_cores(void)
{
    const int32_t allowed = allowed_cores(), quota = dfqi_quota_cores("");
    return quota > 0 && quota < allowed ? quota : allowed;
}
