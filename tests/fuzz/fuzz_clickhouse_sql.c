/* The statement scanner: offsets stay inside the text, and a verdict on part of a text holds for the whole. */
#include "clickhouse/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sql *s, size_t size)
{
    if (s->data_at > size || s->end > size || s->lead_at > size || s->format_at > size || s->input_end > size ||
        s->kill_at + s->kill_len > size || s->structure_at + s->structure_len > size)
        abort();
    if (s->has_data && (s->lead_at > s->format_at || s->format_at > s->data_at || !s->format[0]))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct sql whole, part;
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    int code = 0;

    int r = sql_scan(text, size, true, &whole, &code, &err);
    if (r < 0 && (code <= 0 || !err.message[0]))
        abort();
    check(&whole, size);
    if (r == 0 && whole.kind == SQL_SELECT)
        sql_lead_out(&whole, text, 3, &out);
    if (r == 0 && whole.has_data && !whole.from_input)
        sql_lead_in(&whole, text, 3, &out);
    if (r == 0 && whole.has_data && whole.from_input && sql_input_table(&whole, text, &out, &code, NULL) == 0)
        sql_input_select(&whole, text, &out);
    buf_free(&out);
    size_t half = size / 2;
    if (r == 0 && sql_scan(text, half, false, &part, &code, NULL) == 0 && part.has_data && !part.more &&
        (!whole.has_data || whole.data_at != part.data_at || strcmp(whole.format, part.format) != 0))
        abort();
    return 0;
}
