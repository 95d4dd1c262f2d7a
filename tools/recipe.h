/* Library options from command-line options, and the plan of a job. */
#ifndef DFQ_TOOLS_RECIPE_H
#define DFQ_TOOLS_RECIPE_H

#include "options.h"
#include "session.h"

/* The same options with the defaults for a network where nothing was given. --images stays open
 * with --synth: all of the folder. */
struct options recipe_fill(const struct options *o, const dfq_graph *net,
                           const dfq_graph_info *info);

/* Refuses options that this network has no use for. Returns 0 or an exit code, after one
 * error line. */
int recipe_check(struct session *s, const struct options *full, const dfq_graph *net,
                 const dfq_graph_info *info);
/* The same of the images of a set, once their number is known. */
int recipe_check_images(struct session *s, const struct options *full, const dfq_graph *net);

/* Is the student tuned beside a generator, with no set of images? */
int recipe_with_generator(const struct options *full);

/* Options of the library; from what recipe_fill gave. */
dfq_synthesizer_options recipe_synthesizer(const struct options *full);
dfq_quantize_options recipe_quantize(const struct options *full);
dfq_tuner_options recipe_tuner(const struct options *full, const dfq_graph *net);
dfq_reconstructor_options recipe_reconstructor(const struct options *full, const dfq_graph *net);
dfq_generator_options recipe_generator_options(const struct options *full, const dfq_graph *net);

/* As session_fail() of work; where layers have widths of their own, a wrong name is wrong usage. */
int recipe_fail(struct session *s, const struct options *full, dfq_status status);

/* n images of uniform noise between -1 and 1, to measure with. */
dfq_status recipe_noise(dfq_context *ctx, const dfq_graph_info *info, int64_t n, dfq_tensor **out);

/* Seconds of a forward pass of one of the images. */
dfq_status recipe_time_forward(const dfq_graph *net, const dfq_tensor *images, double *out_seconds);

/* What a job will take. Seconds by stage, in order. */
enum {
    PLAN_FLOAT,
    PLAN_SYNTH,
    PLAN_CALIBRATE,
    PLAN_RECONSTRUCT,
    PLAN_TUNE,
    PLAN_LOW,
    PLAN_DIAGNOSE,
    PLAN_PARTS,
    PLAN_COUNT
};

struct plan {
    double seconds[PLAN_COUNT];
    double bytes; /* memory at the peak, of the whole process */
};

double plan_total(const struct plan *p);
double plan_after(const struct plan *p, int stage); /* seconds behind `stage` */

/* Fills calibration, tuning and memory: times a forward pass of the float network, a part of a
 * calibration and a step of a throw-away tuning job, all on noise. `held` images will come to
 * lie in memory. Returns 0 or an exit code, after one error line. */
int plan_measure(struct session *s, const dfq_graph *net, const dfq_graph_info *info,
                 const struct options *full, int64_t held, struct plan *p);

#endif
