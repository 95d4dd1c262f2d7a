/* Quotas of control groups, read from a tree of files made for the test. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cases.h"
#include "base/parallel.h"

enum { FILES = 4, PATH_BYTES = 512 };

typedef struct setting {
    const char *path, *text; /* below the root; NULL: no more */
} setting;

static const struct quota_case {
    setting files[FILES];
    int32_t cores;
} cases[] = {
    {{{NULL, NULL}}, 0},
    {{{"proc/self/cgroup", "0::/\n"}}, 0},
    {{{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "max 100000\n"}}, 0},
    {{{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "200000 100000\n"}}, 2},
    {{{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "150000 100000\n"}}, 2},
    {{{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "1000 100000\n"}}, 1},
    {{{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "garbage\n"}}, 0},
    {{{"proc/self/cgroup", "0::/\n"}, {"sys/fs/cgroup/cpu.max", "100000 0\n"}}, 0},
    /* the least of a group and those it is in */
    {{{"proc/self/cgroup", "0::/a/b\n"},
      {"sys/fs/cgroup/a/cpu.max", "300000 100000\n"},
      {"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"}},
     3},
    {{{"proc/self/cgroup", "0::/a/b\n"},
      {"sys/fs/cgroup/a/cpu.max", "300000 100000\n"},
      {"sys/fs/cgroup/a/b/cpu.max", "100000 100000\n"}},
     1},
    /* the path is that of the host's tree, of which a container sees its own part alone */
    {{{"proc/self/cgroup", "0::/docker/1234\n"}, {"sys/fs/cgroup/cpu.max", "400000 100000\n"}}, 4},
    /* version 1, and both at once */
    {{{"proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "250000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "50000\n"}},
     5},
    {{{"proc/self/cgroup", "4:cpu:/\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
     0},
    {{{"proc/self/cgroup", "4:cpuset:/\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
     0},
    {{{"proc/self/cgroup", "1:name=systemd:/y\n0::/y\n"},
      {"sys/fs/cgroup/unified/y/cpu.max", "700000 100000\n"}},
     7},
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

/* Writes the file and the folders on the way. */
static void put(const char *root, const setting *s)
{
    char path[PATH_BYTES];
    char *slash;
    FILE *f;
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", root, s->path), PATH_BYTES);
    for (slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        (void)mkdir(path, 0700);
    }
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(s->text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static void take_away(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char inner[PATH_BYTES];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        ck_assert_int_lt(snprintf(inner, sizeof inner, "%s/%s", path, e->d_name), PATH_BYTES);
        if (unlink(inner) != 0) take_away(inner);
    }
    if (d != NULL) closedir(d);
    rmdir(path);
}

START_TEST(test_quota)
{
    char root[] = "/tmp/dfq-cores-XXXXXX";
    int i;
    ck_assert_ptr_nonnull(mkdtemp(root));
    for (i = 0; i < FILES && cases[_i].files[i].path != NULL; i++) put(root, &cases[_i].files[i]);
    ck_assert_int_eq(dfqi_quota_cores(root), cases[_i].cores);
    take_away(root);
}
END_TEST

START_TEST(test_this_machine)
{
    const int32_t quota = dfqi_quota_cores("");
    ck_assert_int_ge(quota, 0);
    ck_assert_int_ge(dfqi_cores(), 1);
    if (quota > 0) ck_assert_int_le(dfqi_cores(), quota);
}
END_TEST

TCase *dfqt_cores_case(void)
{
    TCase *t = tcase_create("cores");
    tcase_add_loop_test(t, test_quota, 0, N_CASES);
    tcase_add_test(t, test_this_machine);
    return t;
}
