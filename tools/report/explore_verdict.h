/* Two facts beside the verdict of a co-exploration: whether the network's accuracy is above chance,
 * and which steps of the search made its choices. */
#ifndef DFQ_TOOLS_REPORT_EXPLORE_VERDICT_H
#define DFQ_TOOLS_REPORT_EXPLORE_VERDICT_H

#include "report/explore_page.h"

/* What an accuracy says. */
enum {
    EXPLORE_ABOVE_CHANCE,
    EXPLORE_AT_CHANCE, /* that of guessing, or next to it */
    EXPLORE_NOT_TOLD   /* so few images that guessing could have got it too */
};

/* `chance` is what naming one class for all images gets right, 0 to 1. At chance level are
 * accuracies below one and a half times that, or below a twentieth of the way from there to 1,
 * whichever is less (14.5 % of 10 classes, 52.5 % of 2); not told from it are those within three
 * standard errors. */
int explore_judge_chance(uint64_t n, uint64_t correct, double chance);
/* "accuracy at chance level (11.8 %; one class for all images gets 10.0 %)", or nothing. */
void explore_write_chance(FILE *f, const struct explore_page *p);

/* "likeliest", "repair", ... of DFQ_CHOSEN_*. */
const char *explore_step_name(int32_t by);
/* The last step that chose something of groups first to last - 1. */
int32_t explore_last_step(const struct explore_page *p, int32_t first, int32_t last);
/* "12 likeliest, 1 by repair, 2 by local search, of 15 choices" */
void explore_write_steps(FILE *f, const struct explore_page *p);

/* The section of the report. */
void explore_write_verdict(FILE *f, const struct explore_page *p);

#endif
