/* Tables of a report. On a narrow screen each row is shown as a block: its first cell, then the
 * other cells with the names of their columns. */
#ifndef DFQ_TOOLS_REPORT_TABLE_H
#define DFQ_TOOLS_REPORT_TABLE_H

#include <stdio.h>

struct table_column {
    const char *title; /* plain text without markup */
    int number;        /* 1: set to the right */
};

struct table {
    FILE *f;
    const struct table_column *columns;
    int n, at; /* columns, and the next cell's; -1: no row yet */
};

struct table table_open(FILE *f, const struct table_column *columns, int n);
/* Begins the next row, and the next cell of it, whose contents the caller writes. */
void table_row(struct table *t);
void table_cell(struct table *t);
void table_close(struct table *t);

#endif
