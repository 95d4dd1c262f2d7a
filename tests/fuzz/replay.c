/* Runs a fuzz target over the files of the folders it is given: the committed corpus as an ordinary
 * test, without a fuzzing engine. TAP on stdout. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/target.h"

/* Feeds one file in a block of exactly its size, so that a tool sees any read beyond it. */
static int feed(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long size = -1;
    int ok = 0;
    if (f && fseek(f, 0, SEEK_END) == 0) size = ftell(f);
    if (size >= 0) bytes = malloc(size > 0 ? (size_t)size : 1);
    if (bytes) {
        rewind(f);
        ok = fread(bytes, 1, (size_t)size, f) == (size_t)size;
    }
    if (ok) LLVMFuzzerTestOneInput(bytes, (size_t)size);
    free(bytes);
    if (f) fclose(f);
    return ok;
}

int main(int argc, char **argv)
{
    int n = 0, bad = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        const struct dirent *e;
        while (dir && (e = readdir(dir)) != NULL) {
            char path[1024];
            if (e->d_name[0] == '.') continue;
            int length = snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            int ok = length > 0 && (size_t)length < sizeof path && feed(path);
            printf("%sok %d - %s\n", ok ? "" : "not ", ++n, e->d_name);
            bad += !ok;
        }
        if (dir) closedir(dir);
    }
    printf("1..%d\n", n);
    return bad > 0 || n == 0;
}
