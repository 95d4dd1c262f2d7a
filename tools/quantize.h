/* State of a running `dfq quantize`, shared by cmd_quantize.c, bits.c, quantize_plan.c,
 * reconstruct.c, ait_job.c, quantize_result.c, parts.c and the report. */
#ifndef DFQ_TOOLS_QUANTIZE_H
#define DFQ_TOOLS_QUANTIZE_H

#include "diagnose.h"
#include "job.h"
#include "parts.h"
#include "recipe.h"
#include "session.h"

/* Choices within other values of one limit of a joint search. */
enum {
    FRONT_LATENCY,
    FRONT_ENERGY,
    FRONT_AREA,
    FRONT_SIZE,
    FRONT_POWER,
    FRONT_METRICS,
    FRONT_POINTS = 9
};
struct front {
    int metric, n, own; /* own: the point of the limit that was given */
    double limits[FRONT_POINTS];
    dfq_bits_choice points[FRONT_POINTS];
};
extern const char *const front_names[FRONT_METRICS];
/* What a choice has of a metric. */
double front_value(const dfq_bits_choice *c, int metric);

struct quantize {
    struct session *s;
    struct options full; /* defaults filled in */
    struct job job;
    struct plan plan;
    dfq_graph *net, *low; /* float and quantized */
    dfq_graph_info info;  /* of the float network */
    dfq_dataset *data;    /* NULL without --data */
    int with_generator;   /* a generator makes images beside the student */
    dfq_synthesizer *synthesizer;
    dfq_image_set *set;               /* of --synth or made; stays in its file */
    dfq_tensor *images;               /* all, or of `set` the first ones, for pictures; NULL: none,
                                          as a job went on that had ended */
    dfq_tensor *labels;               /* of the images; NULL: not known */
    dfq_tensor *losses;               /* of synthesis; NULL if images were read */
    dfq_tensor *similarity[2];        /* before and after; before may be NULL */
    dfq_tensor *curves, *evaluations; /* of tuning; NULL with --no-tune */
    dfq_tensor *generator_losses;     /* of a generator */
    dfq_tensor *crossed, *crossing_targets; /* NULL without inundation */
    double on_target;                       /* share of crossings as intended; NaN: not known */
    dfq_tensor *errors;                     /* [layers + 1] dB */
    dfq_tensor *unit_errors;                /* of reconstruction, before and after; or NULL */
    dfq_tuner_best best;
    dfq_bits *bits;                     /* of --bits-file, or chosen; or NULL */
    dfq_accelerator *accel;             /* of --accel; or NULL */
    dfq_bits_choice choice;             /* struct_size 0: none was made */
    struct front fronts[FRONT_METRICS]; /* of dfq explore; by limited metric */
    int n_fronts;
    dfq_layer_config *layers;   /* its rows and those of the command line; or NULL */
    struct diagnosis diagnosis; /* with --diagnose */
    struct parts parts;         /* with --report */
    double seconds, peak;       /* of the whole job, filled before results are told */
};

/* Up to n rows of a tensor from `first` on: a new reference to all of them, or a copy. */
dfq_status quantize_slice(dfq_context *ctx, const dfq_tensor *t, int64_t first, int64_t n,
                          dfq_tensor **out);

/* Opens what gives the images and tells what the job will take. Returns 0 or an exit code, after
 * one error line. */
int quantize_plan(struct quantize *q);

/* Reads of q->set what pictures and diagnosis show; calibration and tuning read the set itself. */
dfq_status quantize_read_first(struct quantize *q);

/* Reconstructs q->low, if asked for. Returns 0 or an exit code, after one error line. */
int reconstruct_run(struct quantize *q);

/* Prints the results on stdout. */
void quantize_print(const struct quantize *q);

/* Writes the report. Returns 0 or an exit code, after one error line. */
int page_write(const struct quantize *q);

#endif
