/* Accuracy against chance, and the steps that made the choices (explore_verdict.h). */
#include "report/explore_verdict.h"

#include <math.h>

/* -- chance ------------------------------------------------------------------------------------ */

int explore_judge_chance(uint64_t n, uint64_t correct, double chance)
{
    double share = (double)correct / (double)n, error = sqrt(chance * (1 - chance) / (double)n);
    if (share <= fmin(1.5 * chance, chance + 0.05 * (1 - chance))) return EXPLORE_AT_CHANCE;
    return share <= chance + 3 * error ? EXPLORE_NOT_TOLD : EXPLORE_ABOVE_CHANCE;
}

void explore_write_chance(FILE *f, const struct explore_page *p)
{
    static const char *const words[] = {[EXPLORE_AT_CHANCE] = "at chance level",
                                        [EXPLORE_NOT_TOLD] =
                                            "not distinguishable from chance with these images"};
    if (p->accuracy_images == 0 || p->chance_level == EXPLORE_ABOVE_CHANCE) return;
    fprintf(f, "accuracy %s (%.1f %%; one class for all images gets %.1f %%)",
            words[p->chance_level], 100 * p->top1, 100 * p->chance);
}

/* -- steps ------------------------------------------------------------------------------------- */

static const char *const names[] = {
    [DFQ_CHOSEN_LIKELIEST] = "likeliest", [DFQ_CHOSEN_SNAPSHOT] = "snapshot",
    [DFQ_CHOSEN_REPAIR] = "repair",       [DFQ_CHOSEN_LOCAL_SEARCH] = "local search",
    [DFQ_CHOSEN_EXACT] = "exact method",  [DFQ_CHOSEN_CHEAPEST] = "least costs"};

enum { STEPS = sizeof names / sizeof *names };

/* A later library may know more of them. */
const char *explore_step_name(int32_t by)
{
    return by >= 0 && by < STEPS ? names[by] : "another step";
}

int32_t explore_last_step(const struct explore_page *p, int32_t first, int32_t last)
{
    int32_t by = DFQ_CHOSEN_LIKELIEST;
    for (int32_t g = first; g < last; g++)
        if (p->groups[g].by > by) by = p->groups[g].by;
    return by;
}

static int32_t count(const struct explore_page *p, int32_t by)
{
    int32_t n = 0;
    for (int32_t g = 0; g < p->n_groups; g++) n += p->groups[g].by == by;
    return n;
}

void explore_write_steps(FILE *f, const struct explore_page *p)
{
    const char *before = "";
    for (int32_t by = 0; by < STEPS; by++) {
        int32_t n = count(p, by);
        if (n == 0) continue;
        fprintf(f, "%s%d %s%s", before, (int)n, by > DFQ_CHOSEN_SNAPSHOT ? "by " : "", names[by]);
        before = ", ";
    }
    fprintf(f, ", of %d choices", (int)p->n_groups);
}

/* -- the report -------------------------------------------------------------------------------- */

/* The likeliest choices are said to meet the limits only where they are the result. */
static void write_origin(FILE *f, const struct explore_page *p)
{
    int32_t last = explore_last_step(p, 0, p->n_groups);
    fputs("<p class=\"note\">", f);
    if (p->verdict == DFQ_VERDICT_CERTIFIED && last == DFQ_CHOSEN_LIKELIEST) {
        fputs("The likeliest choices met the limits without repair.", f);
    } else {
        fputs("Choices by step of the search: ", f);
        explore_write_steps(f, p);
        fputs(p->raw_feasible ? "." : "; the likeliest choices exceeded a limit.", f);
    }
    fputs("</p>\n", f);
}

void explore_write_verdict(FILE *f, const struct explore_page *p)
{
    int certified = p->verdict == DFQ_VERDICT_CERTIFIED;
    fprintf(f, "<h2>Verdict</h2>\n<p class=\"note\">%s</p>\n",
            certified ? "The exact costs of these choices meet every limit."
            : p->proved
                ? "No choices in the space meet all limits; the closest are shown below."
                : "The search found no choices that meet all limits; the closest are shown below.");
    if (p->accuracy_images > 0 && p->chance_level != EXPLORE_ABOVE_CHANCE) {
        fputs("<p class=\"note\">The limits do not cover accuracy: ", f);
        explore_write_chance(f, p);
        fputs(".</p>\n", f);
    }
    write_origin(f, p);
}
