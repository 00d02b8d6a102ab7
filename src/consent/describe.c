/* Says in words what a request would do, with what is before and after. */
#include "base/clock.h"
#include "base/mem.h"
#include "consent/request.h"

#define SHOWN_MAX 4000

/* The request's texts come from others: nothing of them may move the cursor or end a line. */
static void add_plain(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        buf_addc(out, *p < 0x20 || *p == 0x7f ? '?' : (char)*p);
}

static void add_value(struct buf *out, const json_t *v)
{
    if (json_is_null(v) || !v) {
        buf_adds(out, "(nothing)");
        return;
    }
    autofree char *text = js_text(v);
    if (strlen(text) > SHOWN_MAX) {
        text[SHOWN_MAX] = '\0';
        add_plain(out, text);
        buf_adds(out, " ... (cut)");
    } else {
        add_plain(out, text);
    }
}

static void add_line(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "  %-12s", name);
    add_plain(out, text);
    buf_addc(out, '\n');
}

static void add_changes(struct buf *out, const json_t *changes)
{
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *c = json_array_get(changes, i);
        const char *path = json_string_value(json_object_get(c, "path")),
                   *class = json_string_value(json_object_get(c, "class"));
        buf_adds(out, "  ");
        add_plain(out, path ? path : "?");
        buf_adds(out, " (");
        add_plain(out, class ? class : "?");
        buf_adds(out, ")\n    - ");
        add_value(out, json_object_get(c, "before"));
        buf_adds(out, "\n    + ");
        add_value(out, json_object_get(c, "after"));
        buf_addc(out, '\n');
    }
}

static void add_arguments(struct buf *out, const json_t *arguments)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)arguments, key, value)
    {
        if (!strcmp(key, "changes")) {
            add_changes(out, value);
            continue;
        }
        buf_adds(out, "  ");
        add_plain(out, key);
        buf_adds(out, " = ");
        add_value(out, value);
        buf_addc(out, '\n');
    }
}

void request_describe(const struct consent_request *r, struct buf *out)
{
    char time[CLOCK_ISO_SIZE], hex[65];
    buf_printf(out, "request %s\n", r->id);
    for (size_t i = 0; i < r->n_operations; i++)
        buf_printf(out, "  %s (%s): %s\n", r->operations[i]->name, operation_class_names[r->operations[i]->class],
                   r->operations[i]->effect);
    add_arguments(out, r->arguments);
    if (r->has_device_key) {
        hex_encode(r->device_key, ED25519_PUBLIC_SIZE, hex);
        add_line(out, "device key", hex);
    }
    if (r->minutes)
        buf_printf(out, "  %-12s%d minutes from its opening\n", "for", r->minutes);
    add_line(out, "asked by", r->by);
    add_line(out, "reason", r->reason);
    if (*r->ticket)
        add_line(out, "ticket", r->ticket);
    clock_iso(r->not_after_ms, time);
    add_line(out, "until", time);
    if (*r->state)
        add_line(out, "from state", r->state);
    add_line(out, "digest", r->digest);
}
