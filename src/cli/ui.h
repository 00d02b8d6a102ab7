/* What the command says on its way: steps with a mark and a time, tables, plain lines.
 *
 * On a terminal the running step is redrawn in place with its time; anywhere else each step is one line when it ends,
 * and no control code is ever written. NO_COLOR and TERM=dumb are honoured. With --json nothing goes to standard output
 * but the answer. Text from outside is stripped of control characters before it is shown. */
#pragma once

#include "base/err.h"
#include "base/js.h"

struct ui {
    FILE *out; /* progress and tables; NULL: silent (--json) */
    bool live; /* may redraw lines */
    bool colour;
    bool utf8;
    bool step_open;
    char kind[32], name[64];
    int64_t started_ms, drawn_ms; /* monotonic */
    char detail[200];
};

void ui_init(struct ui *ui, FILE *out, bool json);

/* ` ✓ kind      name           detail`: begin shows it as running (terminal only), update changes the detail, done and
 * failed finish it. A step that is not finished when the next begins, or at ui_end, is closed as failed. */
void ui_step(struct ui *ui, const char *kind, const char *name);
void ui_step_name(struct ui *ui, const char *name); /* known only later */
void ui_step_update(struct ui *ui, const char *fmt, ...) OH_PRINTF(2, 3);
void ui_step_done(struct ui *ui, const char *fmt, ...) OH_PRINTF(2, 3);
void ui_step_failed(struct ui *ui);
void ui_end(struct ui *ui);

/* A line with a warning sign, and a plain one. */
void ui_warn(struct ui *ui, const char *fmt, ...) OH_PRINTF(2, 3);
void ui_line(struct ui *ui, const char *fmt, ...) OH_PRINTF(2, 3);

/* A table: column titles, then rows of as many texts (NULL shows "-"). Widths fit the content. */
struct ui_table;
struct ui_table *ui_table_new(const char *const *titles); /* ends with NULL */
void ui_table_row(struct ui_table *t, ...);               /* const char * for each column */
void ui_table_print(struct ui *ui, struct ui_table *t);   /* and frees it */

/* Asks a question on the terminal; true only for "yes" typed out. False at once when there is no terminal. */
bool ui_confirm(struct ui *ui, const char *question);

/* "3 s", "4 min", "2 h", "5 d" for a number of milliseconds. */
void ui_age(int64_t ms, char out[32]);
