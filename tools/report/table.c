/* Writes tables. Each cell has the name of its column as an attribute; the style sheet shows it on
 * narrow screens, where the table head is hidden. */
#include "report/table.h"

struct table table_open(FILE *f, const struct table_column *columns, int n)
{
    fputs("<div class=\"scroll\"><table class=\"rows\">\n<thead><tr>", f);
    for (int i = 0; i < n; i++)
        fprintf(f, "<th%s>%s</th>", columns[i].number ? " class=\"num\"" : "", columns[i].title);
    fputs("</tr></thead>\n<tbody>\n", f);
    return (struct table){f, columns, n, -1};
}

static void end_row(struct table *t)
{
    if (t->at > 0) fputs("</td>", t->f);
    if (t->at >= 0) fputs("</tr>\n", t->f);
}

void table_row(struct table *t)
{
    end_row(t);
    fputs("<tr>", t->f);
    t->at = 0;
}

void table_cell(struct table *t)
{
    const struct table_column *c = &t->columns[t->at];
    fprintf(t->f, "%s<td%s", t->at > 0 ? "</td>" : "", c->number ? " class=\"num\"" : "");
    if (t->at > 0) fprintf(t->f, " data-column=\"%s\"", c->title);
    fputc('>', t->f);
    t->at++;
}

void table_close(struct table *t)
{
    end_row(t);
    fputs("</tbody></table></div>", t->f);
}
