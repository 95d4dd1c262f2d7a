/* dfq: the command-line program. Finds the verb and hands over. */
#include "commands.h"

int main(int argc, char **argv)
{
    static int (*const run[VERB_COUNT])(struct session *) = {
        [VERB_INFO] = cmd_info,         [VERB_EVAL] = cmd_eval,      [VERB_SYNTH] = cmd_synth,
        [VERB_QUANTIZE] = cmd_quantize, [VERB_BENCH] = cmd_bench,    [VERB_COST] = cmd_cost,
        [VERB_EXPLORE] = cmd_explore,   [VERB_VERSION] = cmd_version};
    struct options o;
    struct session s;
    int code = options_parse(argc, argv, &o);
    if (code < 0) {
        code = session_open(&s, &o);
        if (code == CODE_DONE) code = run[o.verb](&s);
        progress_end(&s.progress);
        if (code == CODE_DONE || code == CODE_INFEASIBLE) code = session_results(&s, code);
        session_close(&s);
    }
    return code;
}
