/* Progress on stderr. The time left is extrapolated from the whole stage, as far as this process
 * ran it. */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

enum { BAR = 24, BAR_LEAST = 8, LABEL = 10, PART = 48, LINE = 256, USUAL_COLUMNS = 80 };

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

/* Columns of the terminal at this moment; it may have been resized. */
static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : USUAL_COLUMNS;
}

/* What stands behind the bar, by importance: a narrow terminal shows the first of these. */
struct rest {
    char left[PART], all[PART], loss[PART]; /* ", 3:10 left", ", 5:00 in all", ", loss 0.21" */
};

/* One line that never reaches the last column, where terminals wrap: the bar shrinks, then the
 * loss goes, then the time in all, then the bar. */
static void draw_bar(const char *label, double fraction, const struct rest *r)
{
    char bar[BAR + 1], line[LINE];
    int most = columns() - 1, with_loss = 1, with_all = 1, size;
    for (;;) {
        size_t rest =
            strlen(r->left) + (with_loss ? strlen(r->loss) : 0) + (with_all ? strlen(r->all) : 0);
        size = most - (LABEL + 1 + 2 + 6) - (int)rest;
        if (size >= BAR_LEAST || (!with_loss && !with_all)) break;
        if (with_loss)
            with_loss = 0;
        else
            with_all = 0;
    }
    if (size > BAR) size = BAR;
    for (int i = 0; i < size; i++) bar[i] = i < (int)(fraction * size + 1e-9) ? '#' : '.';
    bar[size > 0 ? size : 0] = '\0';
    snprintf(line, sizeof line, size > 0 ? "%-*s [%s] %3.0f %%%s%s%s" : "%-*s%s %3.0f %%%s%s%s",
             size > 0 ? LABEL : 0, label, bar, floor(fraction * 100), with_loss ? r->loss : "",
             r->left, with_all ? r->all : "");
    fprintf(stderr, "\r\033[K%.*s", most > 0 ? most : 0, line);
}

/* The words of a report. */
static void tell(const struct progress *p, double loss, double left, int over, struct rest *r)
{
    char t[TEXT_SHORT];
    memset(r, 0, sizeof *r);
    if (isfinite(loss)) snprintf(r->loss, PART, ", loss %.4g", loss);
    if (over) {
        snprintf(r->left, PART, ", took %s", text_seconds(text_now() - p->begun, t));
        return;
    }
    snprintf(r->left, PART, ", %s left", text_seconds(left, t));
    if (p->later > 0) snprintf(r->all, PART, ", %s in all", text_seconds(left + p->later, t));
}

void progress_show(struct progress *p, const char *stage, uint64_t done, uint64_t total,
                   double loss)
{
    struct rest rest;
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
    tell(p, loss, left, done == total, &rest);
    const char *label = p->label ? p->label : stage;
    if (p->tty)
        draw_bar(label, fraction, &rest);
    else
        fprintf(stderr, "%s %d %%%s%s%s\n", label, tenth * 10, rest.loss, rest.left, rest.all);
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
