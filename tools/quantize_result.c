/* Prints the results of a quantization job. */
#include <math.h>

#include "bits.h"
#include "files.h"
#include "front.h"
#include "hardware.h"
#include "json.h"
#include "layers.h"
#include "quantize.h"
#include "text.h"

static double top1(const struct tally *t)
{
    return t->n > 0 ? (double)t->correct / (double)t->n : (double)NAN;
}

static void print_ait(struct json *j, const struct quantize *q)
{
    const struct options *o = &q->full;
    dfq_tuner_options t = recipe_tuner(o, q->net);
    json_text(j, "generator", q->with_generator ? option_generator_name(o->generator) : NULL);
    json_text(j, "loss", o->no_tune ? NULL : option_loss_name(o->loss));
    json_int(j, "steps", q->curves ? t.steps : 0);
    json_int(j, "warmup_steps", q->curves ? t.warmup_steps : 0);
    json_int(j, "batch", o->batch);
    if (q->crossed) json_fraction(j, "crossed_on_target", q->on_target);
}

static void json_choice(struct json *j, const dfq_bits_choice *c)
{
    json_open(j, "choice", '{');
    json_int(j, "proved", c->proved);
    json_fraction(j, "gap", c->gap);
    json_fraction(j, "predicted", c->predicted);
    json_fraction(j, "size_bytes", c->size_bytes);
    if (c->config >= 0) {
        json_int(j, "config", c->config);
        json_fraction(j, "latency_ms", c->latency_ms);
        json_fraction(j, "energy_mj", c->energy_mj);
        json_fraction(j, "area_mm2", c->area_mm2);
        json_fraction(j, "power_mw", c->power_mw);
        json_int(j, "fused_attentions", c->fused_attentions);
    }
    json_close(j, '}');
}

static void print_json(const struct quantize *q, uint64_t bytes)
{
    const struct options *o = &q->full;
    const struct tally *j0 = &q->job.judged[0], *j1 = &q->job.judged[1];
    struct json j = {stdout, 0};
    dfq_graph_info low = {.struct_size = sizeof low};
    if (dfq_graph_get_info(q->low, &low) != DFQ_OK) return;
    json_open(&j, NULL, '{');
    json_text(&j, "file", o->out);
    json_int(&j, "bytes", (int64_t)bytes);
    json_text(&j, "model", o->input);
    json_int(&j, "model_bytes", q->info.file_bytes);
    json_text(&j, "name", dfq_graph_get_name(q->net));
    json_int(&j, "weight_bits", o->weight_bits);
    json_int(&j, "act_bits", o->act_bits);
    json_int(&j, "first_last_bits", low.first_last_bits);
    json_text(&j, "layer_bits", dfq_graph_get_layer_config(q->low));
    if (q->choice.struct_size) json_choice(&j, &q->choice);
    if (q->n_fronts > 0) front_json(&j, q);
    json_text(&j, "mode", option_mode_name(o->mode));
    json_text(&j, "act_scale", option_act_scale_name(low.act_scale));
    json_int(&j, "act_group", low.act_group);
    json_int(&j, "weight_group", low.weight_group);
    json_text(&j, "method", option_method_name(o->method));
    if (o->method == METHOD_AIT) print_ait(&j, q);
    if (!q->with_generator) json_int(&j, "images", o->images);
    if (j1->n > 0) {
        json_int(&j, "n", j1->n);
        json_int(&j, "correct", j1->correct);
        json_fraction(&j, "top1", top1(j1));
        json_fraction(&j, "top5", (double)j1->correct5 / (double)j1->n);
        json_int(&j, "not_finite", j1->not_finite);
        json_fraction(&j, "float_top1", top1(j0));
        json_fraction(&j, "float_top5", (double)j0->correct5 / (double)j0->n);
        json_int(&j, "float_not_finite", j0->not_finite);
    }
    if (o->reconstruct > 0) json_int(&j, "reconstruct", o->reconstruct);
    if (q->curves && o->method == METHOD_MIMIQ) {
        json_int(&j, "best_step", q->best.best_step);
        json_fraction(&j, "best_kl", q->best.best_kl);
    }
    json_fraction(&j, "seconds", q->seconds);
    json_int(&j, "peak_bytes", (int64_t)q->peak);
    json_text(&j, "report", o->report);
    if (q->diagnosis.n_views > 0) diagnose_json(&j, &q->diagnosis);
    if (o->verbose) layers_json(&j, q->low);
    json_close(&j, '}');
    putchar('\n');
}

/* What dfq explore has found: certified costs, the accelerator, the front. */
static void joint_print(const struct quantize *q)
{
    const dfq_bits_choice *c = &q->choice;
    dfq_accelerator_config hw = {.struct_size = sizeof hw};
    char words[HARDWARE_TEXT], proof[80];
    printf("certified: %.4g ms, %.4g mJ, %.4g mW, %.4g mm2, %.4g MB of weights; divergence %.4g by "
           "the sum of damages, %s\n",
           c->latency_ms, c->energy_mj, c->power_mw, c->area_mm2, c->size_bytes / 1e6, c->predicted,
           bits_proof(c, proof));
    if (dfq_accelerator_get_config(q->accel, c->config, &hw) == DFQ_OK)
        printf("accelerator %lld of %lld: %s\n", (long long)c->config,
               (long long)dfq_accelerator_get_count(q->accel), hardware_words(&hw, words));
    if (c->fused_attentions > 0)
        printf("attention: fused in %d blocks: scores stay in the buffer\n",
               (int)c->fused_attentions);
    front_print(q);
}

void quantize_print(const struct quantize *q)
{
    uint64_t bytes = file_size(q->s->o->out);
    char a[TEXT_SHORT], b[TEXT_SHORT], c[TEXT_SHORT];
    if (q->s->o->json) {
        print_json(q, bytes);
        return;
    }
    text_put(stdout, q->s->o->out);
    printf(": %s", text_bytes((double)bytes, a));
    if (bytes > 0) printf(" (%.1f times smaller)", (double)q->info.file_bytes / (double)bytes);
    if (q->job.judged[1].n > 0)
        printf(", top-1 %.4f (float %.4f)", top1(&q->job.judged[1]), top1(&q->job.judged[0]));
    printf(", %s, peak memory %s\n", text_seconds(q->seconds, b), text_bytes(q->peak, c));
    if (q->n_fronts > 0) joint_print(q);
    diagnose_print(&q->diagnosis);
    if (q->s->o->verbose) layers_print(q->low);
}
