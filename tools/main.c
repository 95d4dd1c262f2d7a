/* dfq, the command-line program: finds the verb and calls its function. */
#include "commands.h"

static int run_verb(const struct options *o)
{
    static int (*const run[VERB_COUNT])(struct session *) = {
        [VERB_INFO] = cmd_info,       [VERB_EVAL] = cmd_eval,         [VERB_RUN] = cmd_run,
        [VERB_SYNTH] = cmd_synth,     [VERB_QUANTIZE] = cmd_quantize, [VERB_EXPORT] = cmd_export,
        [VERB_BENCH] = cmd_bench,     [VERB_COST] = cmd_cost,         [VERB_EXPLORE] = cmd_explore,
        [VERB_VERSION] = cmd_version, [VERB_JOINT] = cmd_quantize};
    struct session s;
    int code = session_results(verb_names[o->verb], CODE_DONE);
    if (!code) code = session_open(&s, o);
    if (code) return code;
    code = places_open(&s);
    if (code == CODE_DONE) code = run[o->verb](&s);
    progress_end(&s.progress);
    places_close(&s);
    if (code == CODE_DONE || code == CODE_INFEASIBLE)
        code = session_results(verb_names[o->verb], code);
    session_close(&s);
    return code;
}

int main(int argc, char **argv)
{
    struct options o;
    session_occupy();
    int code = options_parse(argc, argv, &o);
    if (code == CODE_DONE) code = session_results(NULL, code);
    if (code < 0) code = run_verb(&o);
    options_free(&o);
    return code;
}
