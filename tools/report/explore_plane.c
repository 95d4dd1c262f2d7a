/* Axes of the Pareto plots. */
#include "report/explore_plane.h"

const char *const plane_titles[PLANE_LOSS + 1] = {"Latency",         "Energy", "Area",
                                                  "Size of weights", "Power",  "Estimated loss"};
const char *const plane_words[PLANE_LOSS + 1] = {"latency", "energy", "area",
                                                 "size",    "power",  "loss"};
const char *const plane_units[PLANE_LOSS] = {"ms", "mJ", "mm\xc2\xb2", "MB", "mW"};

double plane_value(const struct explore_pair *q, int of)
{
    return of == PLANE_LOSS ? q->loss : q->costs[of];
}

int plane_has(const struct plane *s, const struct explore_pair *q)
{
    return axis_takes(&s->x.axis, plane_value(q, s->x.of)) &&
           axis_takes(&s->y.axis, plane_value(q, s->y.of));
}

static void find_range(const struct explore_page *p, struct plane_axis *a)
{
    for (size_t i = 0; i < p->n_cloud; i++) axis_widen(&a->axis, plane_value(&p->cloud[i], a->of));
    for (size_t i = 0; i < p->n_snapshots; i++)
        axis_widen(&a->axis, plane_value(&p->snapshots[i], a->of));
    axis_widen(&a->axis, plane_value(&p->likeliest, a->of));
    axis_widen(&a->axis, plane_value(&p->result, a->of));
    if (a->of != PLANE_LOSS) {
        axis_widen(&a->axis, p->limits[a->of]);
        axis_widen(&a->axis, p->tightest[a->of]);
        axis_widen(&a->axis, p->least[a->of]);
    }
    axis_pad(&a->axis, 0.05);
}

struct plane plane_make(const struct explore_page *p, int x_of, int y_of)
{
    struct plane s = {p,
                      {x_of, axis_make(PLANE_LEFT, PLANE_RIGHT, x_of != PLANE_LOSS)},
                      {y_of, axis_make(PLANE_BOTTOM, PLANE_TOP, y_of != PLANE_LOSS)}};
    find_range(p, &s.x);
    find_range(p, &s.y);
    return s;
}

double plane_x(const struct plane *s, double v)
{
    return axis_at(&s->x.axis, v);
}

double plane_y(const struct plane *s, double v)
{
    return axis_at(&s->y.axis, v);
}

static void title(FILE *f, int of)
{
    fputs(plane_titles[of], f);
    if (of != PLANE_LOSS) fprintf(f, ", %s", plane_units[of]);
    fputs("</text>\n", f);
}

void plane_axes(FILE *f, const struct plane *s)
{
    axis_draw_x(f, &s->x.axis, &s->y.axis, 1);
    axis_text(f, "tick", (PLANE_LEFT + PLANE_RIGHT) / 2.0, PLANE_HEIGHT - 10, "middle");
    title(f, s->x.of);
    axis_draw_y(f, &s->x.axis, &s->y.axis, 1);
    fprintf(
        f, "<text class=\"tick\" transform=\"translate(14 %d)rotate(-90)\" text-anchor=\"middle\">",
        (PLANE_TOP + PLANE_BOTTOM) / 2);
    title(f, s->y.of);
}
