/* Data of the report's diagnostics section. Pointers are borrowed, as in report.h. What is absent
 * (NULL, count 0, NaN) is left out. */
#ifndef DFQ_TOOLS_REPORT_DIAGNOSTICS_H
#define DFQ_TOOLS_REPORT_DIAGNOSTICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct report_chart;

/* Losses over a square of -1..1 each way; value[j * side + i] at x = i, y = j from the lower
 * left. */
struct report_surface {
    const char *title;
    const float *value;
    size_t side;
};

struct report_loss {
    const char *name;
    double loss, norm;         /* of the gradient */
    double trace, trace_error; /* of the Hessian */
    double eigenvalue;
    int settled; /* 0: the eigenvalue was still changing */
};

/* 1 if an estimate is no further from 0 than its standard error: its sign is not known. */
static inline int report_within_error(double estimate, double error)
{
    return estimate >= -error && estimate <= error; /* not with NaN */
}

/* One set of images. */
struct report_view {
    const char *name; /* "32 synthetic images" */
    uint64_t images, agree, teacher_correct, student_correct;
    int labelled; /* 0: labels were the teacher's classes */
    double cosine;
    const struct report_loss *losses;
    size_t n_losses;
};

/* A quantized weight. Shares are 0 to 1. */
struct report_weight {
    const char *name;
    double values;
    double cosine;     /* of the gradients of KL and CE */
    double step, ever; /* share of codes that changed: mean of the steps, and in the end */
    double distance;   /* mean distance from the nearest code border, in codes */
    double kappa;      /* geometric mean of the steps */
    double trace[2];   /* of KL and CE, of its block of the Hessian */
};

struct report_diagnostics {
    const struct report_view *views;
    size_t n_views;
    double values; /* of all weights: what traces are divided by */
    const struct report_surface *surfaces;
    size_t n_surfaces;
    const struct report_chart *lines; /* through the middle of the surfaces */
    size_t n_lines;
    const struct report_chart *codes; /* changes of codes by step */
    size_t n_codes;
    const struct report_weight *weights; /* in network order */
    size_t n_weights;
};

/* All sections. */
void html_diagnostics(FILE *f, const struct report_diagnostics *d);
/* A map in colours, with its scale. Nothing without two points a side or a finite value. */
void html_heat_map(FILE *f, const struct report_surface *s);

#endif
