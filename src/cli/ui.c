/* Steps, tables and questions on a terminal, and the same as plain lines elsewhere. */
#include "cli/ui.h"

#include "base/clock.h"
#include "base/mem.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <wchar.h>

#define REDRAW_MS 200
#define MAX_COLUMNS 12

void ui_init(struct ui *ui, FILE *out, bool json)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    *ui = (struct ui){.out = json ? NULL : out};
    setlocale(LC_CTYPE, "");
    ui->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    ui->live = !json && isatty(fileno(out)) && term && strcmp(term, "dumb");
    ui->colour = ui->live && !(no_colour && *no_colour);
}

/* Foreign text must not drive the terminal; C1 controls (0xc2 0x80..0x9f in UTF-8) go too. */
static void scrub(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
            p[0] = p[1] = '?';
    }
}

static void put(struct ui *ui, const char *colour, const char *text)
{
    if (ui->colour && colour)
        fprintf(ui->out, "\033[%sm%s\033[0m", colour, text);
    else
        fputs(text, ui->out);
}

static void put_step(struct ui *ui, const char *mark, const char *colour, bool with_time)
{
    int64_t ms = clock_mono_ms(&clock_system) - ui->started_ms;
    char text[400], seconds[32] = "";
    if (with_time && ms >= 100)
        snprintf(seconds, sizeof(seconds), "  (%lld.%lld s)", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    snprintf(text, sizeof(text), " %-9s %-14s %s", ui->kind, ui->name, ui->detail);
    for (size_t n = strlen(text); n && text[n - 1] == ' ';)
        text[--n] = 0;
    if (ui->live)
        fputs("\r\033[K", ui->out);
    fputc(' ', ui->out);
    put(ui, colour, mark);
    fputs(text, ui->out);
    put(ui, "2", seconds);
}

void ui_step(struct ui *ui, const char *kind, const char *name)
{
    ui_end(ui);
    snprintf(ui->kind, sizeof(ui->kind), "%s", kind);
    snprintf(ui->name, sizeof(ui->name), "%s", name);
    scrub(ui->name);
    ui->detail[0] = 0;
    ui->started_ms = clock_mono_ms(&clock_system);
    ui->drawn_ms = 0;
    ui->step_open = true;
    ui_step_update(ui, "%s", "");
}

void ui_step_name(struct ui *ui, const char *name)
{
    snprintf(ui->name, sizeof(ui->name), "%s", name);
    scrub(ui->name);
}

void ui_step_update(struct ui *ui, const char *fmt, ...)
{
    int64_t now = clock_mono_ms(&clock_system);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ui->detail, sizeof(ui->detail), fmt, ap);
    va_end(ap);
    scrub(ui->detail);
    if (!ui->out || !ui->live || now - ui->drawn_ms < REDRAW_MS)
        return;
    ui->drawn_ms = now;
    put_step(ui, ui->utf8 ? "…" : ".", "33", true);
    fflush(ui->out);
}

static void finish(struct ui *ui, bool ok)
{
    ui->step_open = false;
    if (!ui->out)
        return;
    if (ok)
        put_step(ui, ui->utf8 ? "✓" : "ok", "32", true);
    else
        put_step(ui, ui->utf8 ? "✗" : "FAILED", "31", true);
    fputc('\n', ui->out);
    fflush(ui->out);
}

void ui_step_done(struct ui *ui, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ui->detail, sizeof(ui->detail), fmt, ap);
    va_end(ap);
    scrub(ui->detail);
    finish(ui, true);
}

void ui_step_failed(struct ui *ui)
{
    if (ui->step_open)
        finish(ui, false);
}

void ui_end(struct ui *ui)
{
    ui_step_failed(ui);
}

static void OH_PRINTF(3, 0) put_line(struct ui *ui, const char *mark, const char *fmt, va_list ap)
{
    static const char cut[] = " [cut]"; /* nobody is to sign what looks whole and is not */
    char text[2048];
    if (vsnprintf(text, sizeof(text), fmt, ap) >= (int)sizeof(text))
        memcpy(text + sizeof(text) - sizeof(cut), cut, sizeof(cut));
    scrub(text);
    if (!ui->out)
        return;
    if (ui->step_open && ui->live)
        fputs("\r\033[K", ui->out);
    put(ui, "33", mark);
    fprintf(ui->out, "%s\n", text);
    fflush(ui->out);
}

void ui_warn(struct ui *ui, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(ui, " ! ", fmt, ap);
    va_end(ap);
}

void ui_line(struct ui *ui, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(ui, "", fmt, ap);
    va_end(ap);
}

struct ui_table {
    struct arena *arena;
    size_t columns, rows, cap;
    char **cells; /* row 0 holds the titles */
};

static char **table_row(struct ui_table *t)
{
    if (t->rows == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->cells = mem_realloc(t->cells, t->cap * t->columns * sizeof(*t->cells));
    }
    return t->cells + t->columns * t->rows++;
}

struct ui_table *ui_table_new(const char *const *titles)
{
    struct ui_table *t = mem_alloc(sizeof(*t));
    t->arena = arena_new();
    while (titles[t->columns] && t->columns < MAX_COLUMNS)
        t->columns++;
    char **row = table_row(t);
    for (size_t i = 0; i < t->columns; i++)
        row[i] = arena_strdup(t->arena, titles[i]);
    return t;
}

void ui_table_row(struct ui_table *t, ...)
{
    char **row = table_row(t);
    va_list ap;
    va_start(ap, t);
    for (size_t i = 0; i < t->columns; i++) {
        const char *text = va_arg(ap, const char *);
        row[i] = arena_strdup(t->arena, text && *text ? text : "-");
        scrub(row[i]);
    }
    va_end(ap);
}

/* Columns a text takes; bytes when it is not valid in the locale. */
static size_t width_of(const char *s)
{
    wchar_t wide[512];
    size_t n = mbstowcs(wide, s, ARRAY_SIZE(wide));
    int w = n < ARRAY_SIZE(wide) ? wcswidth(wide, n) : -1;
    return w < 0 ? strlen(s) : (size_t)w;
}

void ui_table_print(struct ui *ui, struct ui_table *t)
{
    size_t widths[MAX_COLUMNS] = {0};
    for (size_t r = 0; r < t->rows; r++)
        for (size_t c = 0; c < t->columns; c++)
            widths[c] = MAX(widths[c], width_of(t->cells[r * t->columns + c]));
    for (size_t r = 0; ui->out && r < t->rows; r++) {
        for (size_t c = 0; c < t->columns; c++) {
            const char *text = t->cells[r * t->columns + c];
            put(ui, r ? NULL : "1", text);
            for (size_t pad = width_of(text); c + 1 < t->columns && pad < widths[c] + 2; pad++)
                fputc(' ', ui->out);
        }
        fputc('\n', ui->out);
    }
    free(t->cells);
    arena_free(t->arena);
    free(t);
}

bool ui_confirm(struct ui *ui, const char *question)
{
    char answer[16] = "";
    if (!ui->out || !isatty(STDIN_FILENO) || !isatty(fileno(ui->out)))
        return false;
    fprintf(ui->out, "%s Type yes to go on: ", question);
    fflush(ui->out);
    return fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "yes\n");
}

void ui_age(int64_t ms, char out[32])
{
    int64_t s = MAX(ms, (int64_t)0) / 1000;
    if (s < 120)
        snprintf(out, 32, "%lld s", (long long)s);
    else if (s < 120 * 60)
        snprintf(out, 32, "%lld min", (long long)(s / 60));
    else if (s < 48 * 3600)
        snprintf(out, 32, "%lld h", (long long)(s / 3600));
    else
        snprintf(out, 32, "%lld d", (long long)(s / 86400));
}
