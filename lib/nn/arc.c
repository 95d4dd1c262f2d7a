/* The generator networks that AutoReCon's search found (docs/METHODS.md, Generators), as AIT's code
 * has them: three cells, each with twice the resolution of the one before. A cell has four
 * vertices:
 *
 *   v0 = up0(x), v1 = up1(x)
 *   v2 = c0(v0) + c1(v1)          + x0(P0) + x1(P1) + x2(P2)
 *   v3 = c2(v0) + c3(v1) + c4(v2) + x3(P0) + x4(P1) + x5(P2)
 *
 * P0 .. P2 are v0 .. v2 of the cell before; the first cell has none. v3 is the output of the cell.
 * Edges that the search left empty, and their parameters, are left out. The published tables of
 * scales and shifts always have 1000 rows; ours have one row for each class. Neither changes an
 * image. */
#include <stdio.h>

#include "graph/ops.h"
#include "nn/generator_priv.h"

enum { WIDTH = 64, COLOURS = 3, CELLS = 3, OPS = 5, CROSSES = 6 };

typedef struct conv_op {
    int64_t kernel, dilation; /* kernel 0: no edge */
} conv_op;

/* N nearest, B bilinear, 0 no edge; convolutions "c" or "d" (dilated by 2) and their kernel. */
typedef struct found {
    const char *up; /* two of each cell */
    const char *ops[CELLS][OPS];
    const char *cross; /* six of the second cell and of the third */
} found;

static const found table[DFQI_ARC_CELLS] = {
    [DFQI_ARC_CIFAR10] = {"NNNNBN",
                          {{"d5", "0", "d5", "d3", "c5"},
                           {"d5", "d5", "c3", "d3", "d5"},
                           {"d5", "d5", "c1", "c5", "d3"}},
                          "00B00NNNNBBB"},
    [DFQI_ARC_CIFAR100] = {"BNNNNN",
                           {{"d5", "d5", "d5", "0", "c5"},
                            {"d5", "c5", "c1", "d3", "d5"},
                            {"d5", "d3", "c5", "c5", "d5"}},
                           "0BN00N0BNNBB"},
    [DFQI_ARC_RESNET18] = {"BBBBBB",
                           {{"d5", "d5", "d5", "d5", "d5"},
                            {"d5", "d5", "d5", "d5", "d3"},
                            {"d5", "d5", "c5", "d3", "d3"}},
                           "NBNBBNBBNNBN"},
    [DFQI_ARC_RESNET50] = {"BBBBBB",
                           {{"d5", "d5", "d5", "d5", "d5"},
                            {"d5", "d5", "c3", "c1", "c1"},
                            {"d3", "d5", "d5", "c5", "d3"}},
                           "BBBNNBNNNNBB"},
    [DFQI_ARC_MOBILENET] = {"BBBBNB",
                            {{"d5", "d5", "c5", "d5", "d5"},
                             {"c5", "d5", "c1", "c1", "c1"},
                             {"c3", "d5", "c5", "d5", "d3"}},
                            "BBNBBBBNBBBN"},
};

static conv_op op_of(const dfqi_generator_arch *a, int cell, int i)
{
    const char *text = table[a->cells].ops[cell][i];
    if (text[0] == '0') return (conv_op){0, 1};
    return (conv_op){text[1] - '0', text[0] == 'd' ? 2 : 1};
}

/* The upsampling of the edge into the cell: 'N', 'B' or '0'. */
static char cross_of(const dfqi_generator_arch *a, int cell, int i)
{
    return cell == 0 ? '0' : table[a->cells].cross[(cell - 1) * CROSSES + i];
}

static const char *name_of(char text[DFQI_WEIGHT_NAME], int cell, const char *edge, int i,
                           const char *part)
{
    snprintf(text, DFQI_WEIGHT_NAME, "cell%d.%s%d.%s", cell, edge, i, part);
    return text;
}

/* -- parameters -------------------------------------------------------------------------------- */

static void list_edge(dfqi_weights *l, int cell, const char *edge, int i, int64_t kernel)
{
    char name[DFQI_WEIGHT_NAME];
    dfqi_list_norm(l, name_of(name, cell, edge, i, "bn"), WIDTH);
    dfqi_list_conv(l, name_of(name, cell, edge, i, "conv"), WIDTH, WIDTH, kernel);
}

/* The edges into v2, then those into v3: convolutions first..last, crosses from `cross` on. */
static void list_vertex(dfqi_weights *l, int cell, int first, int last, int cross)
{
    for (int i = first; i <= last; i++) {
        conv_op op = op_of(l->a, cell, i);
        if (op.kernel > 0) list_edge(l, cell, "c", i, op.kernel);
    }
    for (int i = cross; i < cross + 3; i++)
        if (cross_of(l->a, cell, i) != '0') list_edge(l, cell, "x", i, 1);
}

void dfqi_arc_list(dfqi_weights *l)
{
    char name[DFQI_WEIGHT_NAME];
    int64_t pixels = dfqi_area(dfqi_size_over(l->a->image, 8));
    for (int cell = 0; cell < CELLS; cell++, pixels *= 4) {
        snprintf(name, sizeof name, "fc%d", cell);
        dfqi_list_linear(l, name, WIDTH * pixels, dfqi_generator_noise(l->a, cell));
        for (int i = 0; i < 2; i++) list_edge(l, cell, "up", i, 1);
        list_vertex(l, cell, 0, 1, 0);
        list_vertex(l, cell, 2, 4, 3);
    }
    dfqi_list_norm(l, "bn", WIDTH);
    dfqi_list_conv(l, "conv", COLOURS, WIDTH, 3);
}

/* -- forward ----------------------------------------------------------------------------------- */

typedef struct vertex {
    dfqi_id x, mean; /* mean: of its statistics, shared by all edges that leave it */
} vertex;

static vertex vertex_of(dfqi_maker *m, dfqi_id x)
{
    return (vertex){x, dfqi_batch_stats(m->g, x)};
}

static dfqi_id edge(dfqi_maker *m, vertex v, const char *name, conv_op op)
{
    dfqi_id x = dfqi_make_norm(m, v.x, v.mean, DFQI_GENERATOR_WIDE_EPS);
    x = dfqi_leaky_relu(m->g, x, DFQI_GENERATOR_SLOPE);
    return dfqi_make_conv(m, name, x, op.kernel, op.dilation);
}

static dfqi_id up(dfqi_maker *m, dfqi_id x, const char *name, char mode)
{
    vertex v = vertex_of(m, dfqi_upsample(m->g, x, mode == 'B'));
    return edge(m, v, name, (conv_op){1, 1});
}

static void add_up(dfqi_maker *m, dfqi_id *sum, dfqi_id x)
{
    *sum = *sum == DFQI_NONE ? x : dfqi_add(m->g, *sum, x);
}

static dfqi_id make_vertex(dfqi_maker *m, int cell, const vertex *v, const vertex *before,
                           const int range[3])
{
    char name[DFQI_WEIGHT_NAME];
    dfqi_id sum = DFQI_NONE;
    for (int i = range[0]; i <= range[1]; i++) {
        conv_op op = op_of(m->a, cell, i);
        if (op.kernel == 0) continue;
        add_up(m, &sum, edge(m, v[i - range[0]], name_of(name, cell, "c", i, "conv"), op));
    }
    for (int i = range[2]; i < range[2] + 3; i++) {
        char mode = cross_of(m->a, cell, i);
        if (mode == '0') continue;
        add_up(m, &sum, up(m, before[i - range[2]].x, name_of(name, cell, "x", i, "conv"), mode));
    }
    return sum;
}

/* v holds the vertices of the cell before and gets this one's; returns v3. */
static dfqi_id make_cell(dfqi_maker *m, int cell, dfqi_id x, vertex v[3])
{
    static const int second[3] = {0, 1, 0}, third[3] = {2, 4, 3};
    const vertex before[3] = {v[0], v[1], v[2]};
    const char *modes = table[m->a->cells].up + 2 * cell;
    char name[DFQI_WEIGHT_NAME];
    for (int i = 0; i < 2; i++)
        v[i] = vertex_of(m, up(m, x, name_of(name, cell, "up", i, "conv"), modes[i]));
    v[2] = vertex_of(m, make_vertex(m, cell, v, before, second));
    return make_vertex(m, cell, v, before, third);
}

/* A third of the noise, as feature maps. */
static dfqi_id make_noise(dfqi_maker *m, int cell, dfqi_size map)
{
    char name[DFQI_WEIGHT_NAME];
    snprintf(name, sizeof name, "fc%d", cell);
    dfqi_id x = dfqi_make_linear(m, name, m->in->noise[cell]);
    return dfqi_channels_last(m->g,
                              dfqi_reshape(m->g, x, 3, (int64_t[]){WIDTH, map.height, map.width}));
}

dfqi_id dfqi_arc_make(dfqi_maker *m)
{
    dfqi_size map = dfqi_size_over(m->a->image, 8);
    vertex v[3] = {{DFQI_NONE, DFQI_NONE}, {DFQI_NONE, DFQI_NONE}, {DFQI_NONE, DFQI_NONE}};
    dfqi_id x = DFQI_NONE;
    for (int cell = 0; cell < CELLS; cell++) {
        dfqi_id noise = make_noise(m, cell, map);
        x = make_cell(m, cell, cell == 0 ? noise : dfqi_add(m->g, x, noise), v);
        map = (dfqi_size){2 * map.height, 2 * map.width};
    }
    x = dfqi_make_norm(m, x, dfqi_batch_stats(m->g, x), DFQI_GENERATOR_WIDE_EPS);
    x = dfqi_leaky_relu(m->g, x, DFQI_GENERATOR_SLOPE);
    return dfqi_make_image(m, dfqi_make_conv(m, "conv", x, 3, 1));
}
