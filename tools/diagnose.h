/* dfq quantize --diagnose: how quantization and tuning changed the network (dfq/diagnosis.h), for
 * --json, for the report and as text. */
#ifndef DFQ_TOOLS_DIAGNOSE_H
#define DFQ_TOOLS_DIAGNOSE_H

#include "json.h"
#include "code_changes.h"

struct quantize;

enum { DIAGNOSE_VIEWS = 2 }; /* the images of tuning, and those of --data */

struct diagnosis {
    struct code_changes changes; /* open from before tuning on */
    int n_views;
    int real[DIAGNOSE_VIEWS], labelled[DIAGNOSE_VIEWS];
    dfq_diagnosis_result result[DIAGNOSE_VIEWS];
    dfq_diagnosis_loss loss[DIAGNOSE_VIEWS][DFQ_DIAGNOSIS_LOSSES];
    dfq_tensor *weights, *surface; /* of the first view */
    double temperature;
    int divided; /* the divergence is divided by the number of classes */
};

/* The finished network on --diagnose images, and on as many of --data. Returns 0 or an exit
 * code, after one error line. */
int diagnose_run(struct quantize *q);
void diagnose_close(struct diagnosis *d);

/* Seconds that it will take, at `forward` seconds an image. */
double diagnose_seconds(const struct options *full, double forward);

void diagnose_json(struct json *j, const struct diagnosis *d);
void diagnose_print(const struct diagnosis *d); /* to stdout */

/* -- report/diagnose_page.c -------------------------------------------------------------------- */

struct diagnose_page;
struct report_diagnostics;

/* What the report says of it: borrowed from the page, which borrows from `d`. NULL without
 * memory. */
struct diagnose_page *diagnose_page_make(const struct diagnosis *d);
const struct report_diagnostics *diagnose_page_get(const struct diagnose_page *p);
void diagnose_page_free(struct diagnose_page *p); /* NULL ok */

#endif
