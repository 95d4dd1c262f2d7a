/* Prints network costs as text. Layers of equal shape whose names differ in numbers only share a
 * line: "blocks.0-11.mlp.fc1 x 12". */
#include "cost_print.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_COLUMNS = 34, LABEL_COLUMNS = 13, COLUMNS = 80, NUMBERS = 8, SHOWN = 5 };

/* Layers of one line. */
struct group {
    dfq_cost_info sum;                  /* of the first layer, but what is added up */
    int32_t n;                          /* layers */
    long least[NUMBERS], most[NUMBERS]; /* of each number in their names */
};

/* -- names ------------------------------------------------------------------------------------- */

/* The numbers of a name, the first NUMBERS of them. */
static void read_numbers(const char *name, long out[NUMBERS])
{
    for (int k = 0; *name && k < NUMBERS;) {
        char *end;
        if (isdigit((unsigned char)*name)) {
            out[k++] = strtol(name, &end, 10);
            name = end;
        } else {
            name++;
        }
    }
}

static const char *behind_number(const char *s)
{
    while (isdigit((unsigned char)*s)) s++;
    return s;
}

static int names_alike(const char *a, const char *b)
{
    int numbers = 0;
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b) && numbers++ < NUMBERS) {
            a = behind_number(a);
            b = behind_number(b);
        } else if (*a++ != *b++) {
            return 0;
        }
    }
    return *a == *b;
}

/* "blocks.0-11.attn.qkv x 12" */
static void write_label(const struct group *g, char *out, size_t size)
{
    size_t at = 0;
    int k = 0;
    for (const char *s = g->sum.name; *s && at + 48 < size;) {
        if (!isdigit((unsigned char)*s) || k == NUMBERS) {
            out[at++] = *s++;
            continue;
        }
        at += (size_t)snprintf(out + at, size - at, "%ld", g->least[k]);
        if (g->most[k] != g->least[k])
            at += (size_t)snprintf(out + at, size - at, "-%ld", g->most[k]);
        s = behind_number(s);
        k++;
    }
    out[at] = '\0';
    if (g->n > 1) at += (size_t)snprintf(out + at, size - at, " x %d", (int)g->n);
    if (g->sum.fused && g->sum.macs > 0) snprintf(out + at, size - at, ", fused");
}

/* -- groups ------------------------------------------------------------------------------------ */

static int same_layer(const dfq_cost_info *a, const dfq_cost_info *b)
{
    return a->kind == b->kind && a->stride == b->stride && a->weight_bits == b->weight_bits &&
           a->input_bits == b->input_bits && a->output_bits == b->output_bits &&
           a->fused == b->fused && memcmp(a->dims, b->dims, sizeof a->dims) == 0 &&
           names_alike(a->name, b->name);
}

static void add_layer(struct group *g, const dfq_cost_info *c)
{
    long numbers[NUMBERS] = {0};
    read_numbers(c->name, numbers);
    if (g->n++ == 0) {
        g->sum = *c;
        memcpy(g->least, numbers, sizeof numbers);
        memcpy(g->most, numbers, sizeof numbers);
        return;
    }
    g->sum.macs += c->macs;
    g->sum.ms += c->ms;
    g->sum.total_pj += c->total_pj;
    for (int k = 0; k < NUMBERS; k++) {
        if (numbers[k] < g->least[k]) g->least[k] = numbers[k];
        if (numbers[k] > g->most[k]) g->most[k] = numbers[k];
    }
}

static int32_t make_groups(const dfq_cost *cost, struct group *groups)
{
    int32_t n = 0;
    for (int32_t i = 0; i < dfq_cost_get_count(cost); i++) {
        dfq_cost_info c = {.struct_size = sizeof c};
        int32_t k = 0;
        if (dfq_cost_get_layer(cost, i, &c) != DFQ_OK) continue;
        while (k < n && !same_layer(&groups[k].sum, &c)) k++;
        if (k == n) groups[n++].n = 0;
        add_layer(&groups[k], &c);
    }
    return n;
}

/* Shares of latency and of energy, added. */
static double weight_of(const dfq_cost_info *c, const dfq_cost_info *total)
{
    return c->ms / total->ms + c->total_pj / total->total_pj;
}

/* The index of the group that costs most of those behind `from`. */
static int32_t heaviest(const struct group *g, int32_t from, int32_t n, const dfq_cost_info *total)
{
    int32_t best = from;
    for (int32_t k = from + 1; k < n; k++)
        if (weight_of(&g[k].sum, total) > weight_of(&g[best].sum, total)) best = k;
    return best;
}

/* -- printing ---------------------------------------------------------------------------------- */

void cost_print_row(const char *name, const dfq_cost_info *c, const dfq_cost_info *total)
{
    if (strlen(name) > NAME_COLUMNS) {
        puts(name);
        name = "";
    }
    printf("%-*s %8.2f %9.4f %5.1f %9.2f %5.1f\n", NAME_COLUMNS, name, c->macs * 1e-6, c->ms,
           100 * c->ms / total->ms, c->total_pj * 1e-6, 100 * c->total_pj / total->total_pj);
}

static void print_heaviest(struct group *groups, int32_t n, const dfq_cost_info *total)
{
    char label[160];
    dfq_cost_info rest = *total;
    int32_t k = 0, layers = 0;
    for (; k < n && (k < SHOWN || n == SHOWN + 1); k++) {
        int32_t best = heaviest(groups, k, n, total);
        struct group g = groups[best];
        groups[best] = groups[k];
        groups[k] = g;
        write_label(&g, label, sizeof label);
        cost_print_row(label, &g.sum, total);
        rest.macs -= g.sum.macs;
        rest.ms -= g.sum.ms;
        rest.total_pj -= g.sum.total_pj;
    }
    for (int32_t i = k; i < n; i++) layers += groups[i].n;
    snprintf(label, sizeof label, "%d others (--all)", (int)layers);
    if (layers) cost_print_row(label, &rest, total);
}

int cost_print_layers(const dfq_cost *cost, const dfq_cost_info *total, int all)
{
    int32_t n = dfq_cost_get_count(cost);
    if (!all) printf("\nmost expensive by latency and energy, equal layers in one line:\n");
    printf("\n%-*s %8s %9s %5s %9s %5s\n", NAME_COLUMNS, "layer", "MMAC", "ms", "%", "uJ", "%");
    if (all) {
        for (int32_t i = 0; i < n; i++) {
            dfq_cost_info c = {.struct_size = sizeof c};
            if (dfq_cost_get_layer(cost, i, &c) == DFQ_OK) cost_print_row(c.name, &c, total);
        }
    } else {
        struct group *groups = calloc((size_t)n + 1, sizeof *groups);
        if (!groups) return 1;
        print_heaviest(groups, make_groups(cost, groups), total);
        free(groups);
    }
    cost_print_row("total", total, total);
    return 0;
}

void cost_print_parts(const dfq_cost_info *t)
{
    const double parts[6] = {t->mac_pj, t->rf_pj, t->noc_pj, t->glb_pj, t->dram_pj, t->static_pj};
    static const char *const names[6] = {"arithmetic", "register files", "network",
                                         "buffer",     "DRAM",           "static"};
    char text[192];
    size_t at = (size_t)snprintf(text, sizeof text, "%.4g mJ an image:", t->total_pj * 1e-9);
    for (int i = 0; i < 6; i++)
        if (parts[i] > 0)
            at += (size_t)snprintf(text + at, sizeof text - at, " %s %.1f %%,", names[i],
                                   100 * parts[i] / t->total_pj);
    text[at - 1] = '\0'; /* the last comma */
    cost_print_wrapped("energy", text);
}

void cost_print_wrapped(const char *label, const char *text)
{
    int at = printf("%-*s", LABEL_COLUMNS, label);
    for (int first = 1; *text; first = 0) {
        int n = (int)strcspn(text, " ");
        if (!first && at + 1 + n > COLUMNS)
            at = printf("\n%*s", LABEL_COLUMNS, "") - 1;
        else if (!first)
            at += printf(" ");
        at += printf("%.*s", n, text);
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}
