/* Progress on stderr. Time left is measured over the whole stage in this process. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

enum { BAR = 24 };

void progress_init(struct progress *p, int quiet)
{
    memset(p, 0, sizeof *p);
    p->quiet = quiet;
    p->tty = isatty(STDERR_FILENO);
}

void progress_clear(struct progress *p)
{
    if (p->dirty) fputs("\r\033[K", stderr);
    p->dirty = 0;
}

void progress_begin(struct progress *p, const char *label, uint64_t whole, double later)
{
    progress_end(p);
    p->busy = 1;
    p->label = label;
    p->whole = whole;
    p->later = later;
    p->base = 0;
    p->stage = NULL;
    p->seen = 0;
    p->begun = text_now();
}

/* A new stage of the library, seen at its first report. */
static void restart(struct progress *p, const char *stage, uint64_t done)
{
    p->stage = stage;
    p->first = p->last = done;
    p->start = text_now();
    if (p->seen++) p->begun = p->start;
    p->drawn = 0;
    p->tenth = -1;
}

static void draw_bar(const char *label, double fraction, const char *rest)
{
    char bar[BAR + 1];
    int full = (int)(fraction * BAR + 1e-9);
    for (int i = 0; i < BAR; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r\033[K%-10s [%s] %3.0f %%%s", label, bar, floor(fraction * 100), rest);
}

void progress_show(struct progress *p, const char *stage, uint64_t done, uint64_t total,
                   double loss)
{
    char rest[160] = "", a[TEXT_SHORT], b[TEXT_SHORT];
    if (!p->busy || p->quiet) return;
    if (p->whole) total = p->whole;
    done += p->base;
    if (total == 0) return;
    if (done > total) done = total;
    int fresh = !p->stage || done < p->last || (!p->label && strcmp(stage, p->stage) != 0);
    if (fresh) restart(p, stage, done);
    p->last = done;
    double now = text_now(), fraction = (double)done / (double)total, left = NAN;
    int tenth = (int)(fraction * 10 + 1e-9);
    if (p->tty ? now - p->drawn < 0.1 && done < total : tenth == p->tenth) return;
    if (!p->tty && fresh && tenth < 10) { /* says nothing yet */
        p->tenth = tenth;
        return;
    }
    if (done > p->first)
        left = (now - p->start) / (double)(done - p->first) * (double)(total - done);
    size_t n = 0;
    if (isfinite(loss)) n += (size_t)snprintf(rest, sizeof rest, ", loss %.4g", loss);
    if (done == total)
        snprintf(rest + n, sizeof rest - n, ", took %s", text_seconds(now - p->begun, a));
    else if (p->later > 0)
        snprintf(rest + n, sizeof rest - n, ", %s left, %s in all", text_seconds(left, a),
                 text_seconds(left + p->later, b));
    else
        snprintf(rest + n, sizeof rest - n, ", %s left", text_seconds(left, a));
    const char *label = p->label ? p->label : stage;
    if (p->tty)
        draw_bar(label, fraction, rest);
    else
        fprintf(stderr, "%s %d %%%s\n", label, tenth * 10, rest);
    p->dirty = p->tty;
    p->drawn = now;
    p->tenth = tenth;
    if (p->tty && done == total) {
        fputc('\n', stderr);
        p->dirty = 0;
    }
}

void progress_end(struct progress *p)
{
    if (p->dirty) fputc('\n', stderr);
    p->dirty = p->busy = 0;
}
