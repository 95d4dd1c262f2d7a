/* Tests of the floors that count bytes and lay out memory, with a size_t and pointers of 32
 * bits. */
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cases.h"

TCase *dfqt_half_case(void), *dfqt_tensor_case(void); /* tests/tensor */
TCase *dfqt_plan_case(void), *dfqt_run_case(void);    /* tests/graph */

static int passed, failed;

static void run(TCase *c)
{
    for (int i = 0; i < c->n; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            c->test[i].run(c->test[i].i);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child) abort();
        if (status == 0) {
            passed++;
        } else {
            fprintf(stderr, "FAILED %s: %s %d\n", c->name, c->test[i].name, c->test[i].i);
            failed++;
        }
    }
    free(c);
}

int main(void)
{
    if (sizeof(void *) * CHAR_BIT != 32 || SIZE_MAX != UINT32_MAX) return 77;
    run(dfqt_memory_case());
    run(dfqt_progress_case());
    run(dfqt_rng_case());
    run(dfqt_text_case());
    run(dfqt_threads_case());
    run(dfqt_half_case());
    run(dfqt_tensor_case());
    run(dfqt_plan_case());
    run(dfqt_run_case());
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
