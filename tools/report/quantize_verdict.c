/* The verdict of the quantization report: how much accuracy is kept, and what to try if it is too
 * little. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/quantize_page.h"

static const double sure = 1.96; /* standard deviations that 95 of 100 samples stay within */

/* How far two accuracies on n images may differ by chance alone. */
static double margin(double a, double b, double n)
{
    return sure * sqrt((a * (1 - a) + b * (1 - b)) / n);
}

static char *say(struct page *p)
{
    p->verdict[p->r.n_verdict] = p->said[p->r.n_verdict];
    return p->said[p->r.n_verdict++];
}

/* What a network of these classes that has learned nothing gets right, and could by luck. */
static int is_chance(double accuracy, double classes, double n)
{
    double chance = 1 / classes;
    return classes > 1 && accuracy <= chance + margin(chance, 0, n);
}

static void say_accuracy(const struct quantize *q, struct page *p)
{
    double n = (double)q->job.judged[1].n, a = p->r.float_accuracy, b = p->r.quantized_accuracy;
    double classes = (double)q->info.classes, unsure = margin(a, b, n);
    if (is_chance(a, classes, n)) {
        snprintf(
            say(p), PAGE_SENTENCE,
            "The float network itself is no better than guessing on these images: %.1f\xc2\xa0%% "
            "right of %.0f classes. Check that they belong to its task.",
            100 * a, classes);
        return;
    }
    if (is_chance(b, classes, n)) {
        snprintf(say(p), PAGE_SENTENCE,
                 "The quantized network is no better than guessing: %.1f\xc2\xa0%% right of %.0f "
                 "classes, "
                 "the float network %.1f\xc2\xa0%%.",
                 100 * b, classes, 100 * a);
        return;
    }
    snprintf(say(p), PAGE_SENTENCE,
             "The quantized network keeps %.1f\xc2\xa0%% of the float network's accuracy: "
             "%.2f\xc2\xa0%% right in place of %.2f\xc2\xa0%%.",
             100 * b / a, 100 * b, 100 * a);
    if (fabs(a - b) <= unsure)
        snprintf(say(p), PAGE_SENTENCE,
                 "The difference is within the sampling error of %.0f images (%.1f points).", n,
                 100 * unsure);
}

/* One more thing to try. */
static void add(char *text, const char *what)
{
    size_t at = strlen(text);
    snprintf(text + at, PAGE_SENTENCE - 1 - at, "%s%s", at > 0 ? "; " : "To try: ", what);
}

static void say_cures(const struct quantize *q, struct page *p)
{
    const struct options *o = &q->full;
    char text[PAGE_SENTENCE - 1] = ""; /* room for the full stop */
    double done = (double)q->best.best_step / (double)(o->steps > 0 ? o->steps : 1);
    if (o->no_images)
        add(text, "images and tuning, which --no-images left out");
    else if (o->no_tune)
        add(text, "tuning, which --no-tune left out");
    if (o->mode == DFQ_MODE_PARITY) add(text, "--mode improved");
    if (o->method == METHOD_MIMIQ && q->curves && done > 0.9)
        add(text, "more --steps (the last step was the best)");
    if (o->method == METHOD_MIMIQ && q->curves && done < 0.5 && !o->real)
        add(text, "more --images (the best step came early)");
    if (o->method == METHOD_AIT && !o->no_tune) add(text, "more --steps");
    if (o->method == METHOD_AIT && (o->first_last_bits ? o->first_last_bits : o->weight_bits) < 8)
        add(text, "--first-last-bits 8 for the first and the last layer");
    if (o->act_bits < 8) add(text, "wider activations");
    if (o->weight_bits < 8) add(text, "wider weights");
    if (*text) snprintf(say(p), PAGE_SENTENCE, "%s.", text);
}

static void say_weakest(struct page *p)
{
    const struct report_layer *least = NULL;
    for (size_t i = 0; i < p->r.n_layers; i++) {
        const struct report_layer *l = &p->r.layers[i];
        if (isfinite(l->sqnr_db) && (!least || l->sqnr_db < least->sqnr_db)) least = l;
    }
    if (least)
        snprintf(say(p), PAGE_SENTENCE,
                 "%s has the largest error (%.1f\xc2\xa0"
                 "dB).",
                 least->name, least->sqnr_db);
}

void page_verdict_fill(const struct quantize *q, struct page *p)
{
    double a = p->r.float_accuracy, b = p->r.quantized_accuracy, n = (double)q->job.judged[1].n;
    if (q->n_fronts > 0) page_front_verdict(q, say(p), PAGE_SENTENCE);
    if (!(n > 0)) {
        snprintf(say(p), PAGE_SENTENCE,
                 "Accuracy was not measured; --data PATH judges both networks on labelled images.");
    } else {
        say_accuracy(q, p);
        if (a - b > margin(a, b, n) && !is_chance(a, (double)q->info.classes, n)) say_cures(q, p);
    }
    say_weakest(p);
    p->r.verdict = p->verdict;
}
